//! `[fleet.jetstream]`.

use std::time::Duration;

use super::super::reader::Reader;
use super::super::values::text;
use crate::fleet::jetstream::{Allow, Credentials, Settings, Tls};

pub(super) fn jetstream(table: &Reader<'_>, deadline: Duration) -> Option<Settings> {
    let servers: Vec<_> = table.list("servers", text).into_iter().map(|at| at.value).collect();
    let allow: Vec<_> = table.list("allow", text).into_iter().map(|at| at.value).collect();
    let has = |word: &str| allow.iter().any(|known| known == word);
    Some(Settings {
        servers,
        stream: table.or("stream", |text| Ok(text.to_owned()), "PORTCULLIS".to_owned()),
        replicas: table.number("replicas", 1..=5).unwrap_or(3),
        credentials: Credentials::None,
        tls: Tls::default(),
        deadline,
        max_age: Duration::ZERO,
        allow: Allow {
            memory_storage: has("memory_storage"),
            few_replicas: has("few_replicas"),
            lazy_sync: has("lazy_sync"),
        },
        monitoring: vec![],
    })
}
