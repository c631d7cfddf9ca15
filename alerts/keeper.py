"""The keeper of the cases: takes up what was stored, tells people and Alertmanager, goes up where nobody answers.

One of all workers keeps them, under an advisory lock. Where none does, Alertmanager hears of each alert by itself after a while, as the
deliveries were held no longer than that.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import psycopg

from alerts import case_store as store
from alerts.case_text import Changed, Setting, Text, text_of
from alerts.case_words import Language, Said
from alerts.cases import Case, Grouping, Step, decide
from alerts.channels import Alertmanager, rfc3339_utc
from alerts.delivery import back_off
from alerts.metrics import PEOPLE, Metrics
from alerts.receivers import Receiver
from alerts.roster import Roster
from alerts.silences import Silence, for_alertmanager, silenced
from schemas.alert import Notice
from schemas.working_days import WorkingDays

logger = logging.getLogger(__name__)

PAUSE_S = 1.0
AWAY_S = 5.0
"""How long it waits after a failure, and before it asks again whether it is the keeper."""
GO_UP_MS = 30_000
"""How often it is asked who must be told next."""
GIVEN_UP_AFTER = timedelta(days=3)
"""A message that no channel took for so long is given up."""


@dataclass(frozen=True, slots=True)
class Duties:
    """Whom the keeper tells, and how."""

    roster: Roster | None
    receivers: Mapping[str, Receiver]
    calendar: WorkingDays
    language: Language
    dashboard: str | None
    grouping: Grouping
    alertmanager: Alertmanager | None


class Keeper:
    """One pass after the other, in a thread of its own."""

    def __init__(self, url: str, duties: Duties, metrics: Metrics) -> None:
        self._url = url
        self._duties = duties
        self._metrics = metrics
        self._stopped = threading.Event()
        self._link: store.Link | None = None
        self._words: tuple[Changed, Setting] | None = None
        self._go_up_at = 0

    def stop(self) -> None:
        """End after what is being done."""
        self._stopped.set()

    def run(self) -> None:
        """Keep the cases until stopped. Whatever fails is said and tried again.

        Messages are sent by a thread of their own: a mail server that hangs holds up no case.
        """
        threading.Thread(target=self._send_on, name="messages", daemon=True).start()
        pause = 0.0
        while not self._stopped.wait(pause):
            try:
                link = self._connected()
                pause = PAUSE_S if link is not None else AWAY_S
                if link is not None:
                    self.keep(link, now=time.time_ns() // 1_000_000)
                    self._metrics.kept.set(time.time())
            except Exception as error:  # noqa: BLE001 - without cases each alert is told by itself
                logger.warning("the cases wait", extra={"reason": repr(error)})
                self._close()
                pause = AWAY_S
        self._close()

    def _send_on(self) -> None:
        """Send messages while we keep the cases."""
        link: store.Link | None = None
        while not self._stopped.wait(PAUSE_S):
            if self._link is None:
                continue
            try:
                if link is None or link.closed:
                    link = self._opened("weir alerts messages")
                self.send(link)
                self._metrics.show_waiting(PEOPLE, *store.waiting_messages(link))
            except Exception as error:  # noqa: BLE001 - it is tried again
                logger.warning("the messages wait", extra={"reason": repr(error)})
        if link is not None:
            link.close()

    def _opened(self, name: str) -> store.Link:
        link = psycopg.connect(
            self._url,
            autocommit=True,
            application_name=name,
            connect_timeout=5,
            tcp_user_timeout=15_000,
        )
        link.execute("SET timezone = 'UTC'; SET lock_timeout = '5s'; SET statement_timeout = '60s'")
        return link

    def _connected(self) -> store.Link | None:
        """The connection that holds the lock; None while another keeps the cases."""
        if self._link is not None and not self._link.closed:
            return self._link
        link = self._opened("weir alerts cases")
        if not store.is_keeper(link):
            link.close()
            return None
        self._link = link
        return link

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def keep(self, link: store.Link, *, now: int) -> None:
        """One pass: take up, go up, tell Alertmanager, put words into messages."""
        self._words = None
        with link.transaction():
            self._take_up(link, now)
        if now >= self._go_up_at:
            with link.transaction():
                self._go_up(link, now)
            self._go_up_at = now + GO_UP_MS
        held = self._tell_of_silences(link)
        with link.transaction():
            self._put_into_messages(link, held, now)
        self._tell_alertmanager(link)

    # ---- Cases

    def _take_up(self, link: store.Link, now: int) -> None:
        arrivals = store.arrivals(link)
        if not arrivals and not store.has_cases_of_many(link):
            return
        opened = store.open_cases(link)
        step = decide((one.case for one in opened), arrivals, self._duties.grouping, now=now)
        extras = self._extras(link, step)
        names = list(self._held_channels())
        store.write(link, step, extras, grouped=names)
        known = {one.case.id: one.case for one in opened} | step.cases
        for case in step.cases.values():
            if case.kind != "alert":
                said: Said = "opened" if case.closed_at is None else "closed"
                store.describe(link, case.id, self._text(link, said, case, None))
        for word in step.words:
            if word.what == "worse":
                store.end_acks(link, word.cases[0], "the case has become worse")
            self._say(link, word.what, known[word.cases[0]], now)

    def _held_channels(self) -> Sequence[str]:
        return [self._duties.alertmanager.name] if self._duties.alertmanager else []

    def _extras(self, link: store.Link, step: Step) -> dict[str, dict[str, object]]:
        """What Alertmanager hears beside the notice: place and case as labels, words as annotations."""
        extras: dict[str, dict[str, object]] = {}
        for transition, name in step.alone:
            case = step.cases.get(name)
            notice = store.transition(link, transition)
            if case is None or notice is None or case.kind != "alert":
                continue
            said: Said = "opened" if notice.state == "firing" else "closed"
            text = self._text(link, said, case, notice)
            annotations = {"case": case.id, "words": f"{text.title}\n{text.body}"}
            extras[transition] = {
                "labels": store.place_labels(case.region),
                "annotations": annotations,
            }
        return extras

    def _text(self, link: store.Link, said: Said, case: Case, notice: Notice | None) -> Text:
        if self._words is None:  # names and changes are read once a pass
            language, dashboard = self._duties.language, self._duties.dashboard
            setting = Setting(language, dashboard, store.names(link, language))
            self._words = store.changed(link), setting
        return text_of(said, case, notice, _contested(link, case, notice), *self._words)

    def _say(self, link: store.Link, said: Said, case: Case, now: int) -> None:
        text = self._text(link, said, case, store.notice_of(link, case))
        if case.kind == "alert":
            store.describe(link, case.id, text)
        level = store.level_of(link, case.id)
        store.say(link, said, [case], text, level=level, due=self._due(case, said, now))

    def _due(self, case: Case, said: Said, now: int) -> int:
        roster = self._duties.roster
        if roster is None:
            return now
        first = roster.escalation(case.severity).due(0, now, self._duties.calendar)
        return roster.heard_at(case.severity, first if said == "opened" else now)

    def _go_up(self, link: store.Link, now: int) -> None:
        """Tell the next level of what nobody took up."""
        roster = self._duties.roster
        if roster is None:
            return
        for one in store.open_cases(link):
            steps = roster.escalation(one.case.severity)
            following = one.level + 1
            if one.acked or one.case.kind == "ended together" or following >= len(steps.steps):
                continue
            if steps.due(following, one.case.opened_at, self._duties.calendar) <= now:
                store.raise_level(link, one.case.id, following)
                self._say(link, "escalated", one.case, now)

    # ---- People

    def _put_into_messages(self, link: store.Link, held: Sequence[Silence], now: int) -> None:
        """Put what is due into one message for each receiver; say in the log what is told to nobody."""
        due = store.due_words(link, now)
        if not due:
            return
        inboxes: dict[tuple[str, str], list[store.Word]] = defaultdict(list)
        sent: list[int] = []
        cases = {one.case.id: one.case for one in store.open_cases(link)}
        for word in due:
            why = _why_not(word)
            if why:
                store.withhold(link, word.id, why)
                continue
            members = [m for name in word.cases if name in cases for m in cases[name].firing]
            if word.what != "closed" and silenced(held, store.labels_of(members)):
                continue  # told when the silence is over, if it is still so
            people = self._people(word, now)
            if not people:
                store.withhold(
                    link, word.id, "nobody is on duty" if self._duties.roster else "no roster"
                )
                continue
            sent.append(word.id)
            for receiver, who in sorted(people):
                inboxes[receiver, who].append(word)
        for (receiver, who), words in inboxes.items():
            store.send(link, _message(receiver, who, words, self._duties.language))
        store.mark_sent(link, sent)

    def _people(self, word: store.Word, now: int) -> set[tuple[str, str]]:
        """Receivers of a word: of what begins or goes up those of its level, else of all that heard of it."""
        roster = self._duties.roster
        if roster is None:
            return set()
        steps = roster.escalation(word.severity).steps
        last = min(word.level, len(steps) - 1)
        first = last if word.what in {"opened", "escalated"} else 0
        return {
            (receiver, duty.who)
            for step in steps[first : last + 1]
            for duty in roster.on_duty(step.level, word.region, now)
            for receiver in duty.receivers
        }

    def send(self, link: store.Link) -> None:
        """Try the messages that are due."""
        for message in store.due_messages(link):
            if self._stopped.is_set():
                return
            receiver = self._duties.receivers.get(message.receiver)
            if receiver is None:
                error, seconds = "the receiver has no address", back_off(20)
            else:
                outcome = receiver.notify(message.title, message.body, key=message.id)
                self._metrics.count_delivery(PEOPLE, outcome.why)
                error = "" if outcome.result == "delivered" else outcome.reason or "not taken"
                seconds = back_off(message.attempts)
                if outcome.result == "refused":
                    store.record(link, message.id, error=error, seconds=None)
                    logger.error(
                        "message refused for good",
                        extra={"receiver": message.receiver, "reason": error},
                    )
                    continue
            given_up = message.age > GIVEN_UP_AFTER
            store.record(link, message.id, error=error, seconds=None if given_up else seconds)
            if error:
                logger.warning(
                    "message to be tried again",
                    extra={"receiver": message.receiver, "reason": error},
                )

    # ---- Alertmanager

    def _tell_of_silences(self, link: store.Link) -> list[Silence]:
        """Pass silences on; return those that hold."""
        found = store.silences(link)
        there = self._duties.alertmanager
        for silence in found:
            if there is None:
                break
            if silence.holds and silence.alertmanager_id is None:
                made = there.silence(for_alertmanager(silence))
                if made is not None:
                    store.told_of_silence(link, silence.id, made)
            elif (
                not silence.holds
                and silence.alertmanager_id is not None
                and there.unsilence(silence.alertmanager_id)
            ):
                store.told_of_silence(link, silence.id, None)
        return [silence for silence in found if silence.holds]

    def _tell_alertmanager(self, link: store.Link) -> None:
        """Tell it of cases of many: of their alerts it hears nothing."""
        there = self._duties.alertmanager
        due = store.due_at_alertmanager(link) if there else []
        if there is None or not due:
            return
        now = there.now()
        alerts = [
            {
                "labels": case_labels(one),
                "annotations": {"summary": one.summary, "description": one.description},
                "startsAt": rfc3339_utc(min(one.began_at, now)),
                "endsAt": rfc3339_utc(now if one.closed else now + there.lasts),
            }
            for one in due
        ]
        outcome = there.post(alerts)
        self._metrics.count_delivery(there.name, outcome.why)
        if outcome.result == "delivered":
            store.told_at_alertmanager(link, due, there.repeat_seconds)
        else:
            logger.warning("cases to be told again", extra={"reason": outcome.reason})


def _contested(link: store.Link, case: Case, notice: Notice | None) -> dict[str, str]:
    """Objections to the figures that a case rests on, by unit; silence rests on none."""
    if case.kind == "outage":
        return {}
    if notice is None:
        return store.contested(link, case.units, (), None)
    if notice.window_start is None or notice.window_end is None:
        return {}
    figures = ["co2" if notice.evidence.regime == "carbon" else "energy"]
    if notice.evidence.held is not None:
        figures.append("output")
    return store.contested(link, case.units, figures, (notice.window_start, notice.window_end))


def case_labels(case: store.Standing) -> dict[str, str]:
    """Who and what a case of many is, the same from its beginning to its end."""
    told = {
        "alertname": f"case-{case.kind.replace(' ', '-')}",
        "kind": case.kind,
        "severity": case.severity,
        "scope": case.scope,
        "case": case.id,
        "service": "weir",
    }
    return told | store.place_labels(case.region)


def _why_not(word: store.Word) -> str:
    """Why a word that is due is not told to anybody; empty where it is."""
    if word.what == "closed":
        return "" if word.heard else "nobody heard that it began"
    return "over before it was told" if word.over else ""


def _message(
    receiver: str, who: str, words: Sequence[store.Word], language: Language
) -> store.NewMessage:
    """Return words as one message: alone as it is, of several a list."""
    ids = [word.id for word in words]
    key = sha256("\n".join([receiver, who, *map(str, ids)]).encode()).hexdigest()[:32]
    if len(words) == 1:
        return store.NewMessage(key, receiver, who, ids, words[0].title, words[0].body)
    head = f"{len(words)}条通知" if language == "zh" else f"{len(words)} notices"
    body = "\n\n".join(f"{word.title}\n{word.body}" for word in words)
    return store.NewMessage(key, receiver, who, ids, f"{head}: {words[0].title}", body)
