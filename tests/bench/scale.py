#!/usr/bin/env python3
"""What a fleet needs of each part, from what one of each part was measured to do: the arithmetic behind deploy/scale.md.

  tests/bench/scale.py [--gateways 1000] [--rate 10000] [--regions 1] [--batch 1] [--entries 10000000] [--outage 3600]

Measured numbers stand in MEASURED, each with where it comes from. Everything else is an estimate made of them, and printed as
such: a need, what one part can do, and how many times that is. What is needed more than once breaks first.
"""

import argparse

MEASURED = {
    # tests/bench/fanout.py
    "delivery_cpu_us": 2.0,
    "letter_bytes": 600,
    # reference measurements of three NATS servers, R3, sync_interval always
    "jetstream_writes_s": 20_700,
    # tests/bench/bulk.rs, release mode, one gateway
    "heard_s": 9_000,
    "opened_s": 200_000,
    "replayed_s": 100_000,
    "row_bytes": 490,
    "entry_bytes": 50,
    # src/fleet/postgres: appends take turns, one commit each
    "postgres_commits_s": 250,
    "postgres_letters_per_commit": 500,
}
CORES, NIC_BYTES = 8, 10e9 / 8
SERVERS = 3
RETENTION = 24.25 * 3_600
BEAT_EVERY = 10 / 3


def rows(gateways, rate, regions, batch, entries):
    """(what, need, what one can do, unit), worst first. `batch`: facts in one letter."""
    m = MEASURED
    letters = rate / batch
    size = m["letter_bytes"] * (1 if batch == 1 else batch / 4)  # many facts in one seal compress well: four to one
    here = gateways / regions
    deliveries = letters * here / SERVERS
    yield "NATS: CPU to deliver, per server and region", deliveries * m["delivery_cpu_us"] / 1e6, CORES, "cores"
    yield "NATS: bytes out, per server and region", deliveries * size / 1e6, NIC_BYTES / 1e6, "MB/s"
    yield "JetStream: acknowledged writes", letters + gateways / BEAT_EVERY, m["jetstream_writes_s"], "/s"
    yield "gateway: opens and decodes", rate, m["opened_s"], "/s"
    yield "gateway: applies and writes down", rate, m["heard_s"], "/s"
    yield "gateway: memory", entries * m["entry_bytes"] / 1e6, 2_000, "MB"
    yield "gateway: ledger, if that rate never ends", rate * RETENTION * m["row_bytes"] / 1e9, 100, "GB"
    commits = max(rate / m["postgres_letters_per_commit"], min(rate, m["postgres_commits_s"]))
    yield "PostgreSQL: commits", commits, m["postgres_commits_s"], "/s"
    yield "PostgreSQL: reads that NOTIFY wakes", min(commits, 250) * here, 50_000, "/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateways", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--regions", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--outage", type=float, default=3_600)
    options = parser.parse_args()
    m = MEASURED
    print(f"{options.gateways} gateways, {options.rate:,.0f} facts/s, {options.regions} regions, {options.batch} facts a letter\n")
    print("| part | needs | one has | × |\n|---|---|---|---|")
    found = rows(options.gateways, options.rate, options.regions, options.batch, options.entries)
    for what, need, has, unit in sorted(found, key=lambda row: -row[1] / row[2]):
        print(f"| {what} | {need:,.1f} {unit} | {has:,.0f} {unit} | {need / has:.2f} |")
    restart = options.entries / m["replayed_s"]
    new = options.entries / m["heard_s"]
    missed = options.rate * options.outage
    spare = m["heard_s"] - options.rate
    caught_up = f"{missed / spare:,.0f} s later" if spare > 0 else "never: more comes than it can hear"
    print(f"\na restart replays {options.entries:,} records in {restart:,.0f} s; a new gateway hears them in {new:,.0f} s")
    print(f"after {options.outage:,.0f} s away it has {missed:,.0f} to hear, and knows what the others know {caught_up}")
    print(f"steady: {options.entries / RETENTION:,.0f} new subjects/s keep {options.entries:,} in force ({RETENTION / 3600:.1f} h each)")


if __name__ == "__main__":
    main()
