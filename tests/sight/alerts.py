"""For each alert: when it is looked at, series at which it fires then, and series at which it is quiet.

A series is written as promtool reads it: `0+1x40` is 0, 1, 2, … 40, one sample every 15 seconds.
"""

AT = 'instance="gw1",job="portcullis"'


def m(name, **labels):
    more = "".join(f',{key}="{value}"' for key, value in labels.items())
    return f"{name if name == 'up' else 'portcullis_' + name}{{{AT}{more}}}"


def one(name, firing="1x80", quiet="0x80", **labels):
    return {m(name, **labels): firing}, {m(name, **labels): quiet}


def late(name, bucket, source):
    """Ten signals, of which all or none are within the bucket."""
    every, within = m(f"{name}_count", source=source), m(f"{name}_bucket", source=source, le=bucket)
    return {every: "0+1x10 10x60", within: "0x70"}, {every: "0+1x10 10x60", within: "0+1x10 10x60"}


def appends(fast, slow):
    return {m("ledger_append_seconds_bucket", le="0.01"): fast, m("ledger_append_seconds_bucket", le="5.0"): slow,
            m("ledger_append_seconds_bucket", le="+Inf"): slow}


CASES = {
    "PortcullisDown": ("3m", *one("up", "0x80", "1x80")),
    "PortcullisNotReady": ("3m", {m("ready"): "0x80", m("draining"): "0x80"}, {m("ready"): "0x80", m("draining"): "1x80"}),
    "PortcullisLedgerFailing": ("1m", *one("ledger_failing")),
    "PortcullisLedgerSlow": ("20m", appends("0x100", "0+1x100"), appends("0+1x100", "0+1x100")),
    "PortcullisStreamBlind": ("3m", *one("stream_state", stream="corp", state="blind")),
    "PortcullisStreamLate": ("15m", *one("stream_state", stream="corp", state="late")),
    "PortcullisRevocationsLate": ("10m", *late("revocation_latency_seconds", "60", "stream")),
    "PortcullisEnforcementSlow": ("10m", *late("revocation_enforcement_seconds", "0.5", "stream")),
    "PortcullisSetNearlyFull": ("16m", {m("revocation_set_entries"): "90x80", m("revocation_set_limit"): "100x80"},
                                {m("revocation_set_entries"): "70x80", m("revocation_set_limit"): "100x80"}),
    "PortcullisCrowded": ("1m", *one("crowded")),
    "PortcullisApprovalsWaiting": ("3m", *one("revocations_awaiting_approval", "2x80")),
    "PortcullisFleetStale": ("3m", *one("fleet_stale")),
    "PortcullisFleetUntold": ("5m", *one("fleet_untold")),
    "PortcullisFleetAlarm": ("10m", *one("fleet_illegible_total", "0x5 1x80", why="forged")),
    "PortcullisNoLeader": ("10m", *one("fleet_leads", "0x80", "1x80", stream="corp")),
    "PortcullisSignalsRefused": ("10m", *one("set_rejected_total", "0+1x80", why="signature")),
    "PortcullisSubjectsUnmatched": ("15m", *one("unmatched_subject_total", "0+1x80")),
    "PortcullisTampering": ("10m", *one("seal_failures_total", "0+2x80", kind="broken_seal")),
    "PortcullisRevokedCredentialsTried": ("20m", *one("requests_blocked_total", "0+60x100", reason="session_revoked")),
    "PortcullisSignInsFail": ("15m", {m("logins_total", idp="corp", result="idp_failed"): "0+3x80",
                                      m("logins_total", idp="corp", result="signed_in"): "0+1x80"},
                              {m("logins_total", idp="corp", result="idp_failed"): "0+1x80",
                               m("logins_total", idp="corp", result="signed_in"): "0+3x80"}),
    "PortcullisIdpUnavailable": ("10m", *one("requests_blocked_total", "0+1x80", reason="idp_unavailable")),
    "PortcullisChecksOverdue": ("15m", *one("revalidation_sessions", "3x80", idp="corp", state="overdue")),
    "PortcullisAppDown": ("3m", {m("upstreams", app="wiki", state="healthy"): "0x80", m("upstreams", app="wiki", state="known"): "2x80"},
                          {m("upstreams", app="wiki", state="healthy"): "1x80", m("upstreams", app="wiki", state="known"): "2x80"}),
    "PortcullisAppErrors": ("15m", {m("requests_total", app="wiki", code="5xx"): "0+1x80", m("requests_total", app="wiki", code="2xx"): "0+9x80"},
                            {m("requests_total", app="wiki", code="5xx"): "0+1x80", m("requests_total", app="wiki", code="2xx"): "0+90x80"}),
    "PortcullisOverloaded": ("3m", *one("requests_blocked_total", "0x5 9x80", reason="overloaded")),
    "PortcullisAuditLost": ("5m", *one("audit_dropped_total", "0x5 9x80")),
    "PortcullisOutcomesNotTold": ("15m", *one("outcome_outbox", "500x80", "3x80")),
}
