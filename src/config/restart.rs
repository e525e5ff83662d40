//! What of a config can be another while the gateway runs, and what waits for a restart.
//!
//! All or nothing: a config of which anything waits is not taken at all, so that what runs is always what one file says. What
//! is not known here waits.

/// Sections that can be another as a whole.
const SECTIONS: [&str; 6] = ["pages", "session", "idps", "streams", "apps", "keys"];
/// Keys elsewhere that can; with them what is below.
const KEYS: [&str; 5] =
    ["server.trusted_proxies", "server.max_header", "server.timeouts.body_read", "admin.token", "admin.token_file"];

/// Whether another value of `key` waits for a restart, whatever it is. Of others it depends on the value.
pub fn waits_for_restart(key: &str) -> bool {
    let is_below = |of: &str| key.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    if key.split('.').nth(2).is_some_and(|part| part == "revalidate") && is_below("idps") {
        // How many calls there are in a second, and when each is due, is planned once.
        return true;
    }
    let shows = key.strip_prefix("server.tls[").and_then(|rest| rest.split_once("].")).map(|(_, rest)| rest);
    let is_certificate =
        shows.is_some_and(|rest| ["cert_file", "key_file"].contains(&rest) || rest.starts_with("certificates"));
    !is_certificate && !SECTIONS.iter().chain(&KEYS).any(|of| is_below(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_places_wait_and_what_people_change_daily_does_not() {
        for (key, waits) in [
            ("apps.wiki.allow.groups", false),
            ("apps", false),
            ("idps.corp.client_secret_file", false),
            ("idps.corp.revalidate.every", true),
            ("idps.corp.revalidate", true),
            ("streams.corp", false),
            ("pages.name", false),
            ("session.max_age", false),
            ("keys.files", false),
            ("server.listen", true),
            ("server.tls", true),
            ("server.tls[0].listen", true),
            ("server.tls[0].cert_file", false),
            ("server.tls[1].certificates[0].key_file", false),
            ("server.tls[1].certificates", false),
            ("server.trusted_proxies", false),
            ("server.timeouts.body_read", false),
            ("server.timeouts", true),
            ("server.threads", true),
            ("admin.listen", true),
            ("admin.token_file", false),
            ("ledger.path", true),
            ("fleet.nats.servers", true),
            ("audit.to", true),
            ("appendix", true),
        ] {
            assert_eq!(waits_for_restart(key), waits, "{key}");
        }
    }
}
