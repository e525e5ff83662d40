#!/usr/bin/env python3
"""How many deliveries a second one NATS server makes to followers of a JetStream stream, and what that means for a fleet.

  tests/bench/fanout.py [--watchers 1,20,100] [--letters 20000] [--size 600]

A server of its own (tests/setup installs it), on loopback, one replica, file storage. The letters are in the stream before
the first watcher comes, so that writing is not what is measured: one server flushes them one by one. Every watcher has a push
consumer of its own, as a gateway has; all are read by one thread of this program, which only counts. The server and this
program share the machine, so a server of its own does more. Each line ends by itself after a minute at the most.
"""

import argparse
import glob
import json
import os
import pathlib
import selectors
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MARK = b"\x01letter\x02"


def server(work):
    program = sorted(glob.glob(str(TARGET / "tools/nats-server-*/nats-server")))[-1]
    ports = pathlib.Path(work) / "ports"
    ports.mkdir()
    config = pathlib.Path(work) / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{ports}"\n'
        f'jetstream {{ store_dir: "{work}/data" }}\n'
    )
    process = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    for _ in range(500):
        for file in ports.glob("*.ports"):
            text = file.read_text()
            if text:
                return process, int(json.loads(text)["nats"][0].rsplit(":", 1)[1])
        time.sleep(0.01)
    raise SystemExit("the NATS server does not start")


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.send(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nPING\r\n')
        while self.file.readline() != b"PONG\r\n":
            pass

    def send(self, data):
        self.socket.sendall(data)

    def begin(self, subject, body):
        """Asks, and does not wait for the answer."""
        text = json.dumps(body).encode()
        self.send(b"PUB %s _INBOX.none %d\r\n%s\r\n" % (subject.encode(), len(text), text))

    def ask(self, subject, body):
        inbox = b"_INBOX." + os.urandom(8).hex().encode()
        text = json.dumps(body).encode()
        self.send(b"SUB %s 9\r\nPUB %s %s %d\r\n%s\r\n" % (inbox, subject.encode(), inbox, len(text), text))
        head = self.file.readline().split()
        answer = json.loads(self.file.read(int(head[-1]) + 2))
        if "error" in answer:
            raise SystemExit(f"{subject}: {answer['error']}")
        self.send(b"UNSUB 9\r\n")


def publish(client, letters, size):
    """Sends all, at most 1,000 without an answer, as a gateway's teller does."""
    body = MARK + b"x" * (size - len(MARK))
    one = b"PUB facts.all acks.p %d\r\n%s\r\n" % (size, body)
    client.send(b"SUB acks.p 1\r\n")
    sent = acked = 0
    while acked < letters:
        more = min(letters - sent, 1_000 - (sent - acked))
        if more:
            client.send(one * more)
            sent += more
        line = client.file.readline()
        if line.startswith(b"MSG"):
            client.file.read(int(line.split()[-1]) + 2)
            acked += 1


def measure(port, pid, watchers, letters, size):
    boss = Client(port)
    name = f"S{watchers}"
    boss.ask(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": ["facts.all"], "storage": "file", "num_replicas": 1})
    publish(Client(port), letters, size)
    waiting, clients, counts = selectors.DefaultSelector(), [], {}
    for n in range(watchers):
        client = Client(port)
        client.send(b"SUB deliver.%d 1\r\nPING\r\n" % n)
        while client.file.readline() != b"PONG\r\n":
            pass
        clients.append(client)
        counts[n] = [0, b""]
    for n, client in enumerate(clients):
        client.socket.setblocking(False)
        waiting.register(client.socket, selectors.EVENT_READ, n)
    begin, spent, left = time.monotonic(), cpu(pid), watchers
    for n in range(watchers):
        boss.begin(f"$JS.API.CONSUMER.CREATE.{name}", {"stream_name": name, "config": {
            "deliver_subject": f"deliver.{n}", "ack_policy": "none", "deliver_policy": "all", "mem_storage": True, "num_replicas": 1}})
    while left and time.monotonic() - begin < 60:
        for key, _ in waiting.select(timeout=1):
            count = counts[key.data]
            data = count[1] + key.fileobj.recv(1 << 20)
            count[0] += data.count(MARK)
            # A mark that is cut in two is found with the next piece; one that was counted is not kept.
            tail = data.rfind(MARK)
            count[1] = data[max(len(data) - len(MARK) + 1, tail + len(MARK) if tail >= 0 else 0):]
            left -= count[0] >= letters
            if count[0] >= letters:
                waiting.unregister(key.fileobj)
    took, spent = time.monotonic() - begin, cpu(pid) - spent
    for client in [*clients, boss]:
        client.socket.close()
    cleaner = Client(port)
    cleaner.ask(f"$JS.API.STREAM.DELETE.{name}", {})
    delivered = sum(count for count, _ in counts.values())
    return delivered / took, spent / delivered


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", default="1,20,100")
    parser.add_argument("--letters", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portcullis-fanout.") as work:
        process, port = server(work)
        try:
            print("| watchers | deliveries/s | MB/s out | server CPU µs per delivery | letters/s to 1,000 gateways, per core |")
            print("|---|---|---|---|---|")
            for watchers in map(int, options.watchers.split(",")):
                rate, spent = measure(port, process.pid, watchers, options.letters, options.size)
                most = 1 / spent / 1_000
                print(f"| {watchers} | {rate:,.0f} | {rate * options.size / 1e6:,.0f} | {spent * 1e6:.1f} | {most:,.0f} |")
        finally:
            process.terminate()
            process.wait()


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
