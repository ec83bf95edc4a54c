"""Interleaved rounds of pgbench, through the edge and past it, against one stack. See README.md."""

import glob
import json
import os
import re
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS, CLIENTS, IDLE = 3, 8, 100
OSSRDBMS = "https://ossrdbms-aad.database.windows.net"
STATEMENTS = {
    "evaluate": "SELECT 1;\n",
    "select": "\\set id random(1, 4)\nSELECT status FROM orders WHERE id = :id;\n",
    "masked": "SELECT id, name, email, card FROM customers;\n",
    "rows": "SELECT g, repeat('a note, nothing in it ', 5) FROM generate_series(1, 2000) AS g;\n",
}
# pgbench's names for the simple query protocol, the extended one with a Parse for each statement, and that with one
# Parse for all.
MODES = ("simple", "extended", "prepared")


def main() -> None:
    binaries, seconds = sys.argv[1], sys.argv[2]
    pgbench = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))[-1]
    with tempfile.TemporaryDirectory(prefix="countersign-bench-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        stack = subprocess.Popen(
            [f"{binaries}/countersign-dev", "--data-dir", f"{folder}/data", "--json"],
            stdout=subprocess.PIPE,
            stderr=open(f"{folder}/log", "w"),
        )
        try:
            measure(json.loads(stack.stdout.readline()), stack.pid, binaries, pgbench, folder, seconds)
        finally:
            stack.send_signal(signal.SIGTERM)
            stack.wait(60)


def measure(ready: dict, pid: int, binaries: str, pgbench: str, folder: str, seconds: str) -> None:
    through = {**os.environ, "PGPASSWORD": agent_token(ready, binaries)}
    port = subprocess.run(
        ["psql", "-XAtd", ready["target_dsns"]["shop"], "-c", "SHOW port"], check=True, capture_output=True, text=True
    ).stdout.strip()
    direct_dsn = f"postgresql://shop_standing@localhost:{port}/shop?sslmode=verify-full&sslrootcert={ready['ca']}"
    past = {**os.environ, "PGPASSWORD": role_token(ready)}
    sides = {"direct": (direct_dsn, past), "edge": (ready["edge_dsns"]["shop"], through)}
    for name, script in STATEMENTS.items():
        path = f"{folder}/{name}.sql"
        with open(path, "w") as file:
            file.write(script)
        for mode in MODES:
            compare(f"{name} {mode}", pid, [pgbench, "-M", mode, "-f", path, "-T", seconds], sides)
    idle(ready, pid, through)


def compare(name: str, pid: int, command: list, sides: dict) -> None:
    results = {"direct": [], "edge": []}
    for _ in range(ROUNDS):
        for side in results:
            before = cpu(pid)
            round_ = bench(command, CLIENTS, *sides[side])
            results[side].append({**round_, "cpu": (cpu(pid) - before) / round_["count"] * 100_000})
    one = {side: bench(command, 1, *sides[side])["latency"] for side in sides}
    median = lambda side, figure: statistics.median(result[figure] for result in results[side])
    print(
        f"{name}: throughput {median('edge', 'tps') / median('direct', 'tps'):.2f} of direct "
        f"({median('edge', 'tps'):.0f} of {median('direct', 'tps'):.0f}/s), "
        f"latency +{(one['edge'] - one['direct']) * 1000:.0f} µs, cpu {median('edge', 'cpu'):.1f} s per 100,000",
        flush=True,
    )


def agent_token(ready: dict, binaries: str) -> str:
    environment = {**os.environ, "COUNTERSIGN_ADDR": ready["admin"], "COUNTERSIGN_CA": ready["ca"]}
    command = [f"{binaries}/countersign", "token", "--agent", "reader"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def role_token(ready: dict) -> str:
    """What the control plane would mint for the role: the emulator gives it to anybody on this machine."""
    body = json.dumps({"kind": "agent", "subject": "shop-standing", "audience": OSSRDBMS}).encode()
    request = urllib.request.Request(
        ready["entra"] + "/emulator/tokens", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ready["ca"])) as answer:
        return json.load(answer)["access_token"]


def bench(command: list, clients: int, dsn: str, environment: dict) -> dict:
    command = [*command, "-n", "-c", str(clients), "-j", "1", dsn]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    number = lambda pattern: float(re.search(pattern, done.stdout)[1])
    return {
        "tps": number(r"tps = ([\d.]+)"),
        "latency": number(r"latency average = ([\d.]+) ms"),
        "count": number(r"actually processed: (\d+)"),
    }


def cpu(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def idle(ready: dict, pid: int, environment: dict) -> None:
    before = resident(pid)
    command = ["psql", "-XAtqd", ready["edge_dsns"]["shop"]]
    # Half of what the server takes: each session has one connection, and none of these looks a name up.
    sessions = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) for _ in range(IDLE)
    ]
    for session in sessions:
        session.stdin.write(b"SELECT 1;\n")
        session.stdin.flush()
    time.sleep(10)
    print(f"idle: {(resident(pid) - before) / IDLE:.0f} kB per session", flush=True)
    for session in sessions:
        session.stdin.close()
        session.wait()


if __name__ == "__main__":
    main()
