"""People's channels on real sockets: a mail server, what chats are sent, and a signature that holds."""

import hmac
import json
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.wecombot import NotifyWeComBot

from alerts.receivers import receivers_of, refusal_in, signature
from alerts.settings import AddressesError
from tests.alerts.receiver import Receiver, receiving

TITLE, BODY = "[严重] 915100：2026能源消费量超过限额", "超出限额10吨标准煤。\n可采取的措施：核对。"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


class Mailbox:
    """Who takes mail, and keeps it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        content = envelope.content
        assert isinstance(content, bytes)
        if self.answer.startswith("250"):
            self.messages.append(message_from_bytes(content))
        return self.answer


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


def test_mail_reaches_a_server(mailbox: tuple[Mailbox, int]) -> None:
    """Subject, text and receivers as they were meant; what the server puts off is tried again."""
    box, port = mailbox
    address = f"mailto://127.0.0.1:{port}/?from=weir@example.org&to=duty@example.org&mode=insecure"
    receiver = receivers_of(f'duty = "{address}"')["duty"]
    assert receiver.notify(TITLE, BODY, key="k").result == "delivered"
    (mail,) = box.messages
    assert str(make_header(decode_header(mail["Subject"]))) == TITLE
    assert "duty@example.org" in str(mail["To"])
    text = "".join(
        part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in mail.walk()
        if not part.is_multipart()
    )
    assert "超出限额10吨标准煤" in text
    box.answer = "451 later"
    assert receiver.notify(TITLE, BODY, key="k").result == "retry"


CHATS = {
    "dingtalk": (NotifyDingTalk, "dingtalk://0123456789abcdef/", "/robot/send?access_token=0123456789abcdef"),
    "wecom": (NotifyWeComBot, "wecombot://693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa/", "/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"),
    "feishu": (NotifyFeishu, "feishu://abcdefghijklmnop/", "/open-apis/bot/v2/hook/abcdefghijklmnop/"),
}  # fmt: skip


class Chat:
    """A server that answers 200 whatever it is sent, as these do."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, object]]] = []
        self.answer: dict[str, object] = {"errcode": 0, "errmsg": "ok"}


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """Each plugin's own request, but for the host: it is the loopback's."""
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chat.posts.append((self.path, body))
            answer = json.dumps(chat.answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for plugin, _, _ in CHATS.values():
        host, path = plugin.notify_url.removeprefix("https://").split("/", 1)
        assert host in {"oapi.dingtalk.com", "qyapi.weixin.qq.com", "open.feishu.cn"}
        monkeypatch.setattr(plugin, "notify_url", f"http://127.0.0.1:{server.server_address[1]}/{path}")  # fmt: skip
        monkeypatch.setattr(plugin, "request_rate_per_sec", 0)
    yield chat
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", CHATS)
def test_what_a_chat_is_sent(chat: Chat, name: str) -> None:
    """Path and payload; and a refusal that comes with 200 is no delivery."""
    _, address, path = CHATS[name]
    receiver = receivers_of(f'duty = "{address}"')["duty"]
    assert receiver.notify(TITLE, BODY, key="k").result == "delivered"
    ((asked, body),) = chat.posts
    assert asked == path
    said = json.dumps(body, ensure_ascii=False)
    assert "915100：2026能源消费量超过限额" in said
    assert "可采取的措施：核对" in said
    chat.answer = {"code": 19024, "msg": "Key Words Not Found"} if name == "feishu" else {"errcode": 310000, "errmsg": "keywords not in content"}  # fmt: skip
    refused = receiver.notify(TITLE, BODY, key="k")
    assert refused.result == "retry"
    assert "not in content" in refused.reason.lower() or "not found" in refused.reason.lower()


def test_a_webhook_is_signed(receiver: Receiver) -> None:
    """Whoever knows the secret can tell that it is ours, and how old it is; whoever does not, cannot."""
    url = receiver.address.replace("http://", "sign+http://")
    duty = receivers_of(f'duty = "{url}/in#s3cret"')["duty"]
    assert duty.notify(TITLE, BODY, key="k1").result == "delivered"
    (post,) = receiver.posts
    content = json.dumps(post.body, ensure_ascii=False).encode()
    timestamp = post.headers["X-Weir-Timestamp"]
    expected = hmac.new(b"s3cret", timestamp.encode() + b"." + content, sha256).hexdigest()
    assert post.headers["X-Weir-Signature"] == f"v1={expected}"
    assert post.headers["Idempotency-Key"] == "k1" == post.body["id"]
    assert signature(b"other", timestamp, content) != post.headers["X-Weir-Signature"]
    assert post.path == "/in"


@pytest.mark.parametrize(
    "address", ["nonsense://x", "sign+https://host/without-secret", "mailto://", ""]
)
def test_a_bad_address_is_named_and_not_shown(address: str) -> None:
    """By the receiver's name; the address may hold a secret."""
    with pytest.raises(AddressesError, match="receiver duty: ") as error:
        receivers_of(f'duty = "{address}"')
    assert not address or address not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (b'{"errcode": 0, "errmsg": "ok"}', ""),
        (b'{"errcode": 130101, "errmsg": "send too fast"}', "errcode 130101: send too fast"),
        (b'{"code": 0, "msg": "success", "data": {}}', ""),
        (b'{"code": 9499, "msg": "Bad Request"}', "code 9499: Bad Request"),
        (b"ok", ""),
        (b"[1]", ""),
    ],
)
def test_refusals_that_come_with_200(answer: bytes, refused: str) -> None:
    """As the chats document them."""
    assert refusal_in(answer) == refused
