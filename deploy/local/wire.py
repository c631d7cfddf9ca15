"""The few bytes by which each server shows that it serves, not merely that a port is open."""

import socket
import struct
import urllib.error
import urllib.request
from http import HTTPStatus

from deploy.local.ports import LOOPBACK

_TIMEOUT = 5.0
_CONNACK = 0x20


def kafka_has_broker(port: int) -> bool:
    """Ask for the cluster's metadata: a broker that may not serve yet is not listed."""
    header = struct.pack(">hhih", 3, 4, 1, -1)  # Metadata, version 4, no client id
    request = header + struct.pack(">ib", 0, 0)  # no topics, create none
    try:
        with socket.create_connection((LOOPBACK, port), _TIMEOUT) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = _read(connection, 16)
    except OSError:
        return False
    _length, _request, _throttle, brokers = struct.unpack(">iiii", answer)
    return bool(brokers > 0)


def postgres_asks_for_password(port: int, user: str, database: str) -> bool:
    """Begin a session: a server that still starts or recovers answers with an error."""
    settings = f"user\0{user}\0database\0{database}\0\0".encode()
    start = struct.pack(">ii", 8 + len(settings), 196_608) + settings
    try:
        with socket.create_connection((LOOPBACK, port), _TIMEOUT) as connection:
            connection.sendall(start)
            kind, length = struct.unpack(">ci", _read(connection, 5))
            _read(connection, length - 4)  # closing with bytes unread is logged as a fault
            return bool(kind == b"R")
    except OSError:
        return False


def mqtt_reason(port: int, user: str, password: str) -> int | None:
    """Connect by MQTT 5 and return the server's reason code (0: let in), None if silent."""
    fields = b"".join(
        struct.pack(">H", len(text)) + text for text in (b"", user.encode(), password.encode())
    )
    variable = b"\0\4MQTT\5" + bytes([0xC2]) + struct.pack(">HB", 10, 0)
    body = variable + fields
    try:
        with socket.create_connection((LOOPBACK, port), _TIMEOUT) as connection:
            connection.sendall(b"\x10" + _variable_length(len(body)) + body)
            answer = _read(connection, 4)
            connection.sendall(b"\xe0\0")
    except OSError:
        return None
    return answer[3] if answer[0] == _CONNACK else None


def http_is_ok(url: str) -> bool:
    """Tell whether a GET is answered with 200, asking no proxy."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_TIMEOUT) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def _read(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        chunk = connection.recv(length - len(received))
        if not chunk:
            message = "closed before it had answered"
            raise ConnectionError(message)
        received += chunk
    return received


def _variable_length(number: int) -> bytes:
    """Write a length as MQTT does: seven bits a byte, the lowest first."""
    low, high = number % 128, number // 128
    return bytes([low | 0x80]) + _variable_length(high) if high else bytes([low])
