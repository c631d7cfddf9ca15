"""The tables of cases, words and what people do about them (schemas/sql/*_on_call.sql).

Every function takes a connection; who calls decides what is one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from alerts.case_text import Changed, Text
from alerts.case_words import Language
from alerts.cases import Arrival, Case, Member, Step
from alerts.silences import Matcher, Silence
from schemas.alert import Notice
from schemas.calendar import instant, moment, rfc3339
from schemas.rule import Severity

Link = Connection[TupleRow]

_LOCK = 6_274_801
"""Advisory lock of the one keeper."""
AT_ONCE = 5_000
"""Transitions taken up at once."""


class Word(NamedTuple):
    """A word to people that is due, and what became of its cases."""

    id: int
    what: str
    cases: tuple[str, ...]
    severity: Severity
    region: str
    level: int
    title: str
    body: str
    over: bool
    """All its cases are closed."""
    heard: bool
    """Somebody was told that one of them began."""


class Message(NamedTuple):
    """Words to one receiver that wait to be delivered."""

    id: str
    receiver: str
    title: str
    body: str
    attempts: int
    age: timedelta


class NewMessage(NamedTuple):
    """Words to one receiver; `id` is the idempotency key of their delivery."""

    id: str
    receiver: str
    who: str
    words: Sequence[int]
    title: str
    body: str


class Open(NamedTuple):
    """A case that is open, as the escalation sees it."""

    case: Case
    level: int
    acked: bool


def is_keeper(link: Link) -> bool:
    """Be the one who keeps the cases, for as long as the connection lives; False: another is."""
    row = link.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])


# ---- What the cases are made of


def arrivals(link: Link) -> list[Arrival]:
    """Transitions that no case has taken up, in the order they were stored."""
    rows = link.execute(
        r"""
        SELECT t.body, coalesce(u.region, target.region, ''), t.committed_at
        FROM alert_case_queue q JOIN alert_transition t ON t.id = q.transition
        LEFT JOIN unit u ON u.code = t.unit
        LEFT JOIN LATERAL (
            SELECT substring(h.scope FROM '(?:province|city|county):(\d+)') AS region FROM target_hour h
            WHERE 'target:' || h.target = t.unit ORDER BY h.hour DESC LIMIT 1) target ON t.unit LIKE 'target:%%'
        ORDER BY t.seq LIMIT %s
        """,
        (AT_ONCE,),
    ).fetchall()
    return [Arrival(Notice.model_validate(body), region, instant(at)) for body, region, at in rows]


def has_cases_of_many(link: Link) -> bool:
    """Say whether a case is open that may grow, or close, by time alone."""
    row = link.execute(
        "SELECT EXISTS (SELECT FROM alert_case WHERE closed_at IS NULL AND kind <> 'alert')"
    ).fetchone()
    return bool(row and row[0])


def open_cases(link: Link) -> list[Open]:
    """Cases that are not closed, with their alerts."""
    rows = link.execute(
        """
        SELECT c.id, c.kind, c.scope, c.severity, c.region, c.began_at, c.opened_at, c.told, c.told_at, c.ending, c.level,
               EXISTS (SELECT FROM alert_ack a WHERE a.case_id = c.id AND a.ended_at IS NULL AND a.until > now())
        FROM alert_case c WHERE c.closed_at IS NULL
        """
    ).fetchall()
    members = _members(link, [row[0] for row in rows])
    return [
        Open(
            Case(
                id=name,
                kind=kind,
                scope=scope,
                severity=severity,
                region=region,
                began_at=instant(began_at),
                opened_at=instant(opened_at),
                members=tuple(members.get(name, ())),
                told=told,
                told_at=instant(told_at),
                ending=ending,
            ),
            level,
            acked,
        )
        for name, kind, scope, severity, region, began_at, opened_at, told, told_at, ending, level, acked in rows
    ]


def _members(link: Link, cases: Sequence[str]) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    rows = link.execute(
        """
        SELECT case_id, episode, unit, region, rule, kind, severity, keys, firing, ended_by
        FROM alert_case_member WHERE case_id = ANY (%s) ORDER BY case_id, unit, rule, episode
        """,
        (list(cases),),
    )
    for case, episode, unit, region, rule, kind, severity, keys, firing, ended_by in rows:
        member = Member(episode, unit, region, rule, kind, severity, tuple(keys), firing, ended_by)
        found.setdefault(case, []).append(member)
    return found


def notice_of(link: Link, case: Case) -> Notice | None:
    """The newest transition of an alert alone; None of many."""
    if case.kind != "alert":
        return None
    member = case.members[0]
    return transition(link, member.ended_by or member.episode)


def transition(link: Link, name: str) -> Notice | None:
    """A transition by its id."""
    row = link.execute("SELECT body FROM alert_transition WHERE id = %s", (name,)).fetchone()
    return None if row is None else Notice.model_validate(row[0])


def names(link: Link, language: Language) -> dict[str, str]:
    """Names of units and regions by their codes, of industries by `target:` and the target's id; in this language where there is one."""
    rows = link.execute(
        """
        SELECT code, name FROM unit WHERE name <> ''
        UNION ALL SELECT code, CASE WHEN %(language)s = 'zh' AND name_zh <> '' THEN name_zh ELSE name END FROM region
        UNION SELECT 'target:' || (t.body ->> 'id'), CASE WHEN %(language)s = 'zh' AND name_zh <> '' THEN name_zh ELSE name END
        FROM target_version v CROSS JOIN jsonb_array_elements(v.body -> 'targets') AS t (body)
        JOIN industry i ON t.body ->> 'scope' = 'industry:' || i.code
        """,
        {"language": language},
    )
    return dict(rows.fetchall())


def contested(
    link: Link, units: Sequence[str], figures: Sequence[str], window: tuple[int, int] | None
) -> dict[str, str]:
    """Open objections of these units to what these figures of a window (ms) rest on, or to any where it is None: `3, 5` by unit."""
    start, end = window or (None, None)
    rows = link.execute(
        """
        SELECT unit, string_agg(id::text, ', ' ORDER BY id) FROM objection_log
        WHERE upheld IS NULL AND unit = ANY (%(units)s)
          AND (%(start)s::bigint IS NULL OR EXISTS (
              SELECT FROM unnest(%(figures)s::text[]) AS f (name)
              WHERE rests_on(f.name, instant(%(start)s), instant(%(end)s), figure, starts, ends)))
        GROUP BY unit
        """,
        {"units": list(units), "figures": list(figures), "start": start, "end": end},
    )
    return dict(rows.fetchall())


def changed(link: Link) -> Changed:
    """What changed last, of configuration, factors and engine."""
    row = link.execute(
        """
        SELECT (SELECT format('%s, %s: %s', version, author, reason) FROM configuration ORDER BY version DESC LIMIT 1),
               (SELECT loaded_at FROM configuration ORDER BY version DESC LIMIT 1),
               (SELECT version FROM factor_pack ORDER BY loaded_at DESC LIMIT 1),
               (SELECT loaded_at FROM factor_pack ORDER BY loaded_at DESC LIMIT 1),
               (SELECT engine FROM step ORDER BY id DESC LIMIT 1)
        """
    ).fetchone()
    configuration, at, factors, factors_at, engine = row or (None,) * 5
    return Changed(_dated(configuration, at), _dated(factors, factors_at), engine or "")


def _dated(told: str | None, at: datetime | None) -> str:
    return f"{told} ({rfc3339(instant(at) // 1_000 * 1_000)})" if told and at else told or ""


# ---- What the cases become


def write(link: Link, step: Step, extras: Mapping[str, Mapping[str, object]], *, grouped: Sequence[str]) -> None:  # fmt: skip
    """Write a step: cases, their alerts, and what becomes of the deliveries that waited for it.

    `extras`: what the case adds to a delivery, by transition; `grouped`: channels that wait.
    """
    for case in step.cases.values():
        _write_case(link, case)
    channels = list(grouped)
    for transition, _ in step.alone:
        extra = extras.get(transition)
        link.execute(_RELEASE, (Jsonb(extra) if extra else None, transition, channels))
    for transition, case_id in step.absorbed:
        link.execute(_ABSORB, (f"told as part of case {case_id}", transition, channels))
    for episode in step.again:
        link.execute(_AGAIN_FENCE, (episode,))
        link.execute(_AGAIN, (episode, channels))
    handled = [transition for transition, _ in (*step.alone, *step.absorbed)] + step.passed
    link.execute(_RELEASE_PASSED, (step.passed, channels))
    link.execute("DELETE FROM alert_case_queue WHERE transition = ANY (%s)", (handled,))


def _write_case(link: Link, case: Case) -> None:
    many = case.kind not in {"alert", "ended together"}
    link.execute(
        _PUT_CASE,
        {
            "id": case.id,
            "kind": case.kind,
            "scope": case.scope,
            "severity": case.severity,
            "region": case.region,
            "began_at": moment(case.began_at),
            "opened_at": moment(case.opened_at),
            "told": case.told,
            "told_at": moment(case.told_at),
            "closed_at": None if case.closed_at is None else moment(case.closed_at),
            "ending": case.ending,
            "many": many,
        },
    )
    if case.closed_at is not None:
        link.execute(
            "UPDATE alert_ack SET ended_at = clock_timestamp(), ended_by = 'the case is closed'"
            " WHERE case_id = %s AND ended_at IS NULL",
            (case.id,),
        )
    with link.cursor() as cursor:
        cursor.executemany(
            _PUT_MEMBER,
            [
                (m.episode, case.id, m.unit, m.region, m.rule, m.kind, m.severity, list(m.keys), m.firing, m.ended_by)
                for m in case.members
            ],
        )  # fmt: skip


def describe(link: Link, case: str, text: Text) -> None:
    """Keep what a case says of itself now."""
    link.execute(
        "UPDATE alert_case SET summary = %s, description = %s WHERE id = %s", (*text, case)
    )


def say(link: Link, what: str, cases: Sequence[Case], text: Text, *, level: int, due: int) -> None:
    """Add a word to people: it goes out when it is due."""
    first = cases[0]
    link.execute(
        "INSERT INTO alert_word (what, case_ids, severity, region, level, title, body, due_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (what, [one.id for one in cases], first.severity, first.region, level, *text, moment(due)),
    )


def level_of(link: Link, case: str) -> int:
    """Step of the escalation that was told last."""
    row = link.execute("SELECT level FROM alert_case WHERE id = %s", (case,)).fetchone()
    return int(row[0]) if row else 0


def raise_level(link: Link, case: str, level: int) -> None:
    """The next step of the escalation was told."""
    link.execute("UPDATE alert_case SET level = %s WHERE id = %s", (level, case))


def end_acks(link: Link, case: str, why: str) -> None:
    """What was taken up has become worse: it is nobody's again."""
    link.execute(
        "UPDATE alert_ack SET ended_at = clock_timestamp(), ended_by = %s"
        " WHERE case_id = %s AND ended_at IS NULL",
        (why, case),
    )


# ---- Words and messages


def due_words(link: Link, now: int) -> list[Word]:
    """Words that may go out, the oldest first."""
    rows = link.execute(
        """
        SELECT w.id, w.what, w.case_ids, w.severity, w.region, w.level, w.title, w.body,
               NOT EXISTS (SELECT FROM alert_case c WHERE c.id = ANY (w.case_ids) AND c.closed_at IS NULL),
               EXISTS (SELECT FROM alert_word o WHERE o.sent_at IS NOT NULL AND o.what = 'opened' AND (
                   o.case_ids && w.case_ids OR o.case_ids && (
                       SELECT array_agg(m.case_id) FROM alert_case_member e
                       JOIN alert_case_member m ON m.episode = split_part(e.episode, '.', 1)
                       WHERE e.case_id = ANY (w.case_ids))))
        FROM alert_word w
        WHERE w.sent_at IS NULL AND w.withheld IS NULL AND w.due_at <= %s ORDER BY w.id
        """,
        (moment(now),),
    ).fetchall()
    return [Word(row[0], row[1], tuple(row[2]), *row[3:]) for row in rows]


def withhold(link: Link, word: int, why: str) -> None:
    """Nobody is told of it; why stands in the log."""
    link.execute("UPDATE alert_word SET withheld = %s WHERE id = %s", (why, word))


def send(link: Link, message: NewMessage) -> None:
    """Put words into a message. The same words to the same receiver are one message."""
    link.execute(
        "INSERT INTO alert_message (id, receiver, who, words, title, body)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (*message[:3], list(message.words), *message[4:]),
    )


def mark_sent(link: Link, words: Sequence[int]) -> None:
    """They are in messages."""
    link.execute(
        "UPDATE alert_word SET sent_at = clock_timestamp() WHERE id = ANY (%s)", (list(words),)
    )


def due_messages(link: Link) -> list[Message]:
    """Messages to be tried now."""
    rows = link.execute(
        "SELECT id, receiver, title, body, attempts, clock_timestamp() - at FROM alert_message"
        " WHERE next_attempt_at <= clock_timestamp() ORDER BY at, id LIMIT 20"
    ).fetchall()
    return [Message(*row) for row in rows]


def record(link: Link, message: str, *, error: str, seconds: float | None) -> None:
    """What became of an attempt: delivered where there is no error; never again where no `seconds`."""
    link.execute(
        """
        UPDATE alert_message SET attempts = attempts + 1, last_error = nullif(%(error)s, ''),
            delivered_at = CASE WHEN %(error)s = '' THEN clock_timestamp() END,
            refused_at = CASE WHEN %(error)s <> '' AND %(seconds)s::float8 IS NULL THEN clock_timestamp() END,
            next_attempt_at = CASE WHEN %(error)s <> '' THEN clock_timestamp() + %(seconds)s * interval '1 second' END
        WHERE id = %(id)s
        """,
        {"id": message, "error": error, "seconds": seconds},
    )


def waiting_messages(link: Link) -> tuple[int, float]:
    """How many messages wait, and for how many seconds the oldest."""
    row = link.execute(
        "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)"
        " FROM alert_message WHERE delivered_at IS NULL AND refused_at IS NULL"
    ).fetchone()
    return (int(row[0]), float(row[1])) if row else (0, 0.0)


# ---- Alertmanager


class Standing(NamedTuple):
    """A case of many alerts, as Alertmanager is to hear of it."""

    id: str
    kind: str
    scope: str
    severity: str
    """When it began: a label never changes, or Alertmanager takes it for another alert."""
    region: str
    began_at: datetime
    closed: bool
    summary: str
    description: str


def due_at_alertmanager(link: Link) -> list[Standing]:
    """Cases of many that Alertmanager is to hear of now."""
    rows = link.execute(
        """
        SELECT id, kind, scope, coalesce(first_severity, severity), region, began_at, closed_at IS NOT NULL, summary, description
        FROM alert_case WHERE tell_at <= clock_timestamp() ORDER BY id
        """
    ).fetchall()
    return [Standing(*row) for row in rows]


def told_at_alertmanager(link: Link, cases: Sequence[Standing], repeat_seconds: float) -> None:
    """They were told: open ones again later, closed ones never."""
    link.execute(
        "UPDATE alert_case SET tell_at = CASE WHEN closed_at IS NULL"
        " THEN clock_timestamp() + %s * interval '1 second' END"
        # One that closed meanwhile has its end still to be told.
        " WHERE id = ANY (%s) AND (closed_at IS NOT NULL) = (id = ANY (%s))",
        (
            repeat_seconds,
            [one.id for one in cases],
            [one.id for one in cases if one.closed],
        ),
    )


# ---- Silences


def silences(link: Link) -> list[Silence]:
    """Silences that hold now, or that Alertmanager is still to be told of."""
    rows = link.execute(
        """
        SELECT id, matchers, owner, reason, at, until, ended_at IS NULL AND until > now(), alertmanager_id, alertmanager_ended
        FROM alert_silence
        WHERE (ended_at IS NULL AND until > now()) OR (ended_at IS NOT NULL AND NOT alertmanager_ended AND alertmanager_id IS NOT NULL)
        ORDER BY id
        """
    ).fetchall()
    return [Silence(row[0], tuple(Matcher(**one) for one in row[1]), *row[2:]) for row in rows]


def told_of_silence(link: Link, silence: int, there: str | None) -> None:
    """Alertmanager has it under this id; None: it is over there as well."""
    if there is None:
        query: LiteralString = "UPDATE alert_silence SET alertmanager_ended = true WHERE id = %s"
        link.execute(query, (silence,))
    else:
        link.execute(
            "UPDATE alert_silence SET alertmanager_id = %s WHERE id = %s", (there, silence)
        )


def labels_of(members: Iterable[Member]) -> list[dict[str, str]]:
    """What a silence sees of each alert: the labels that Alertmanager knows it by."""
    return [
        {
            "unit": member.unit,
            "alertname": member.rule,
            "kind": member.kind,
            "severity": member.severity,
        }
        | place_labels(member.region)
        for member in members
    ]


def place_labels(region: str) -> dict[str, str]:
    """City and province of a unit, as Alertmanager groups and inhibits by them."""
    if not region:
        return {}
    province = {"province": f"{region[:2]}0000"}
    return province if region.endswith("0000") else province | {"city": f"{region[:4]}00"}


_PUT_CASE: LiteralString = """
INSERT INTO alert_case (id, kind, scope, severity, first_severity, region, began_at, opened_at, told, told_at, closed_at, ending, tell_at)
VALUES (%(id)s, %(kind)s, %(scope)s, %(severity)s, %(severity)s, %(region)s, %(began_at)s, %(opened_at)s, %(told)s, %(told_at)s,
        %(closed_at)s, %(ending)s, CASE WHEN %(many)s THEN clock_timestamp() END)
ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, told = excluded.told, told_at = excluded.told_at,
    closed_at = excluded.closed_at, ending = excluded.ending, tell_at = excluded.tell_at
"""

_PUT_MEMBER: LiteralString = """
INSERT INTO alert_case_member (episode, case_id, unit, region, rule, kind, severity, keys, firing, ended_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (episode) DO UPDATE SET case_id = excluded.case_id, keys = excluded.keys, firing = excluded.firing, ended_by = excluded.ended_by
"""

_RELEASE: LiteralString = """
UPDATE alert_delivery SET held = false, next_attempt_at = now(), extra = coalesce(%s, extra)
WHERE transition = %s AND channel = ANY (%s) AND held AND attempts = 0 AND refused_at IS NULL
"""

_RELEASE_PASSED: LiteralString = """
UPDATE alert_delivery SET held = false, next_attempt_at = now()
WHERE transition = ANY (%s) AND channel = ANY (%s) AND held AND attempts = 0 AND refused_at IS NULL
"""

# The end of what was told alone before it became part of a case is told alone as well.
_ABSORB: LiteralString = """
UPDATE alert_delivery d SET held = false, next_attempt_at = CASE WHEN t.state = 'firing' THEN NULL ELSE now() END,
    refused_at = CASE WHEN t.state = 'firing' THEN clock_timestamp() END,
    last_error = CASE WHEN t.state = 'firing' THEN %s END
FROM alert_transition t
WHERE t.id = d.transition AND d.transition = %s AND d.channel = ANY (%s) AND d.held AND d.attempts = 0
"""

# The writer takes this row first: once it is ours, an end is there to be seen, or not yet begun.
_AGAIN_FENCE: LiteralString = """
SELECT FROM alert_partition p JOIN alert_delivery d ON d.generation = p.generation AND d.partition = p.partition
WHERE d.transition = %s FOR SHARE OF p
"""

_AGAIN: LiteralString = """
UPDATE alert_delivery d SET refused_at = NULL, last_error = NULL, next_attempt_at = now(), repeats = true
FROM alert_transition f
WHERE f.id = %s AND d.transition = f.id AND d.channel = ANY (%s) AND d.delivered_at IS NULL
  AND NOT EXISTS (
    SELECT FROM alert_transition t
    WHERE t.episode = f.episode AND t.state IN ('resolved', 'retracted'))
"""
