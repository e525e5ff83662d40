use super::*;

/// Small, with pseudonyms.
pub(crate) fn settings() -> Settings {
    Settings {
        most: 100,
        gateway: "gw-1".to_owned(),
        clear: false,
        ceilings: Ceilings {
            session: Duration::from_secs(43_200),
            app_token: Some(Duration::from_secs(86_400)),
            anything: Duration::from_secs(100_000),
        },
        settle: Duration::from_secs(300),
    }
}
