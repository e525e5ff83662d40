//! `[fleet.postgres]`.

use std::time::Duration;

use super::super::reader::{Reader, Why};
use super::super::values::text;
use crate::fleet::postgres::{Host, Schema, Settings};

pub(super) fn postgres(table: &Reader<'_>, deadline: Duration) -> Option<Settings> {
    let host = |text: &str| Host::parse(text).ok_or_else(|| Why::from("write `db1.example.com:5432`"));
    let hosts = table.list("hosts", host).into_iter().map(|at| at.value).collect();
    let database = table.require("database", text);
    let user = table.require("user", text);
    let password = table.secret("password", "password_file").map(|at| at.value);
    Some(Settings {
        hosts,
        database: database?.value,
        user: user?.value,
        password,
        schema: Schema::default(),
        tls: None,
        deadline,
        synchronous_standbys: 0,
        allow: vec![],
    })
}
