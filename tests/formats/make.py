#!/usr/bin/env python3
"""Makes the stored files of one version, with that version's own binary.

    make.py PATH-OF-OFFERGATE FOLDER [NAME OF ITS VERSION]

Makes changes of every kind that the binary knows, asks some questions, and leaves in FOLDER:

- `rules.db`, a store; `restored.db`, a store that was restored from its backup; `journal.db`, a replica's;
- `decisions/`, closed segments of the decision log, and `audit.pub` and `checkpoint`;
- `told.json`: what the binary itself said about all of that.

What an old binary does not know is left out. Run it once for a version, and never again: what is kept has
to stay what that version wrote.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
FOLDER = pathlib.Path(sys.argv[2]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/demo/barclays.rules.yaml"

# Offer, action, and flags about the customer: what is asked of the binary now, and of later ones.
QUESTIONS = [
    ("kis-12m", "OFFER", ["--country=GB", "--holding=NONE"]),
    ("kis-12m", "USE", ["--country=GB", "--holding=ACTIVE"]),
    ("kis-12m", "RENEW", ["--country=GB", "--holding=ACTIVE"]),
    ("kis-12m", "OFFER", ["--country=IE", "--holding=NONE"]),
    ("kis-12m", "OFFER", ["--country=IE", "--holding=NONE", "--segment=BUSINESS"]),
    ("avast-12m", "OFFER", ["--country=IE", "--holding=NONE"]),
    ("avast-12m", "OFFER", ["--country=GB", "--holding=NONE"]),
    ("avast-12m", "OFFER", ["--holding=NONE"]),
    ("avast-12m", "NOTIFY", ["--holding=ACTIVE"]),
    ("gone-12m", "OFFER", ["--country=GB", "--holding=NONE"]),
]


def knows(word, *command):
    told = subprocess.run([PROGRAM, *command, "--help"], capture_output=True, text=True)
    return word in told.stdout


BY_TWO = knows("approve")
ENVIRONMENT = {"PATH": os.environ["PATH"], "USER": "ann", "NO_COLOR": "1", "RUST_LOG": "warn"}
if knows("--anonymous", "serve"):
    ENVIRONMENT["OFFERGATE_ANONYMOUS"] = "everything"


def run(*arguments, ok=True):
    ended = subprocess.run([PROGRAM, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True)
    if ok and ended.returncode != 0:
        raise SystemExit(f"{arguments}: {ended.stderr}")
    return ended.stdout


class Server:
    def __init__(self, store, *more):
        command = [PROGRAM, "serve", "--store", str(store), "--listen", "127.0.0.1:0",
                   "--management-listen", "127.0.0.1:0", *map(str, more)]
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def told(self, *arguments):
        return json.loads(run(*arguments, "--server", self.address, "-o", "json"))

    def change(self, *arguments):
        """Makes a change as this version makes them: by one person, or by two."""
        told = self.told(*arguments)
        if BY_TWO:
            self.told("approve", told["proposal"]["id"], "--author", "ben")

    def answers(self):
        about = ["--customer=c-1", "--date-of-birth=1985-04-12", "--attribute=online_banking=true",
                 "--channel=WEB"]
        for offer, action, more in QUESTIONS:
            flags = [f"--offer={offer}", f"--action={action}", *more, *about]
            told = self.told("check", *flags)
            reasons = [":".join(filter(None, reason.values())) for reason in told["reasons"]]
            suspensions = [one["id"] for one in told["suspensions"]]
            yield {"flags": flags, "outcome": told["outcome"], "reasons": reasons,
                   "suspensions": suspensions, "exemptions": told["exemptions"]}

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            raise SystemExit("the server did not end well")


def changes(server):
    why = ["--reason", "Für «Prüfung» \\ \"quoted\"", "--ticket", "CHG-1"]
    server.change("apply", RULES, *why)
    server.change("suspend", "offer", "avast-12m", "--id", "s-avast", "--country", "IE", *why)
    server.change("amend", "s-avast", "--country", "IE,GB", *why)
    server.change("lift", "s-avast", *why)
    server.change("suspend", "product", "kis", "--id", "s-kis", "--country", "IE", *why)
    server.change("exempt", "s-kis", "--id", "e-kis", "--segment", "BUSINESS",
                  "--until", "2100-01-01T00:00:00Z", *why)
    server.change("suspend", "product", "avast-internet-security", "--id", "s-later", "--from",
                  "2100-01-01T00:00:00Z", *why)
    if BY_TWO:
        waiting = server.told("suspend", "offer", "avast-12m", "--id", "s-rejected", *why)
        server.told("reject", waiting["proposal"]["id"], "--author", "ben", *why[:2])
        server.told("suspend", "offer", "avast-12m", "--id", "s-now", "--country", "FR", "--emergency", *why)
        emergency = server.told("status")["in_effect"]
        server.told("ratify", emergency, "--author", "ben")
        refused = server.told("suspend", "offer", "avast-12m", "--id", "s-waiting", *why)
        run("approve", refused["proposal"]["id"], "--server", server.address, ok=False)


def main():
    FOLDER.mkdir(parents=True)
    draft = pathlib.Path(tempfile.mkdtemp())
    told = {"version": " ".join(sys.argv[3:]) or run("--version").strip()}
    more = []
    if knows("--decision-log-dir", "serve"):
        more += ["--decision-log", "complete", "--decision-log-dir", draft / "decisions"]
    if knows("keygen", "audit"):
        (FOLDER / "audit.pub").write_text(run("audit", "keygen", "--key-file", draft / "audit.key"))
        more += ["--audit-key-file", draft / "audit.key"]
    server = Server(draft / "rules.db", *more)
    changes(server)
    told["answers"] = list(server.answers())
    status = server.told("status")
    told["revision"] = status["revision"]["revision"]
    told["token"] = status.get("token") or status["revision"]["token"]
    told["export"] = run("export", "--server", server.address)
    if knows("keygen", "audit"):
        (FOLDER / "checkpoint").write_text(run("audit", "checkpoint", "--server", server.address))
    server.stop()
    shutil.copy(draft / "rules.db", FOLDER / "rules.db")
    run("backup", draft / "backup.db", "--store", draft / "rules.db")
    run("restore", draft / "backup.db", "--store", draft / "restored.db")
    shutil.copy(draft / "restored.db", FOLDER / "restored.db")
    if (draft / "decisions").is_dir():
        shutil.copytree(draft / "decisions", FOLDER / "decisions", ignore=lambda *_: ["lock"])
    if knows("--journal", "serve"):
        redis = subprocess.Popen(["redis-server", "--port", "16399", "--save", "", "--appendonly", "yes",
                                  "--appendfsync", "always", "--dir", draft, "--logfile", "log"])
        time.sleep(1)
        replica = ["--replica", "r1", "--journal", draft / "journal.db", "--begin-history"]
        server = Server("redis://127.0.0.1:16399", *replica)
        changes(server)
        told["journal_revision"] = server.told("status")["revision"]["revision"]
        time.sleep(1)  # The journal follows a moment later.
        server.stop()
        redis.kill()
        redis.wait()
        shutil.copy(draft / "journal.db", FOLDER / "journal.db")
    (FOLDER / "told.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(draft)


main()
