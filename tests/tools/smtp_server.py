#!/usr/bin/env python3
"""A mail server for tests: it is slow, refuses, drops connections and dies, as the addressee's name says.

  smtp_server.py LOG [--delay SECONDS] [--die-after N] [--certificate FILE --key FILE]

Prints `listening on PORT`. Writes one JSON line into LOG for each message that it has wholly received, before
it answers: {"to", "id", "answered"}. What an addressee's name begins with decides:

  once-     refused for now at first, taken the second time      gone-     refused for good at RCPT
  again-    refused for now, always                              full-     refused for good after the message
  cut-      the connection breaks within DATA                    dropped-  received, and never answered
  slow-     answered late                                        anything else is taken
"""

import argparse
import asyncio
import email
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    def __init__(self, arguments):
        self.log = open(arguments.log, "a", encoding="utf-8", buffering=1)
        self.delay = arguments.delay
        self.die_after = arguments.die_after
        self.seen = set()
        self.received = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone-"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("again-"):
            return "451 4.3.0 try again later"
        if address.startswith("once-") and address not in self.seen:
            self.seen.add(address)
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address = envelope.rcpt_tos[0]
        if address.startswith("full-"):
            return "552 5.2.2 mailbox full"
        self.received += 1
        dies = self.die_after is not None and self.die_after <= self.received
        answered = not dies and not address.startswith("dropped-")
        message = email.message_from_bytes(envelope.content)
        line = {"to": address, "id": message["Message-ID"], "answered": answered}
        self.log.write(json.dumps(line) + "\n")
        if dies:
            self.log.flush()
            os._exit(1)
        if address.startswith("dropped-"):
            server.transport.abort()
            await asyncio.sleep(3600)
        await asyncio.sleep(self.delay + (0.3 if address.startswith("slow-") else 0))
        return "250 OK"


class Server(SMTP):
    async def smtp_DATA(self, argument):
        addresses = self.envelope.rcpt_tos if self.envelope else []
        if addresses and addresses[0].startswith("cut-"):
            await self.push("354 go on")
            await asyncio.sleep(0.05)
            self.transport.abort()
            return
        await super().smtp_DATA(argument)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    handler = Handler(arguments)
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)

    def serve():
        return Server(
            handler,
            tls_context=context,
            require_starttls=context is not None,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", arguments.port)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
