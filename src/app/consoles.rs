//! The consoles of the config: apps that run in the gateway.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::operator::Operator;
use super::services::until;
use crate::apps::{App, BuiltIn};
use crate::console::Console;
use crate::proxy::Current;

/// The consoles, by the names of their apps.
pub(super) fn of(current: &Current, operator: &Arc<Operator>) -> HashMap<String, Arc<Console>> {
    let edition = current.load();
    let apps = edition.endpoints.apps().iter();
    let built_in = apps.filter(|app| matches!(app.built_in, Some(BuiltIn::Console { .. })));
    let console = |app: &Arc<App>| Console::new(Arc::clone(app), current.clone(), Arc::<Operator>::clone(operator));
    built_in.map(|app| (app.name.clone(), Arc::new(console(app)))).collect()
}

/// Sees what a console shows.
pub(super) struct Seeing(pub(super) Arc<Console>);

#[async_trait]
impl BackgroundService for Seeing {
    async fn start(&self, shutdown: ShutdownWatch) {
        until(shutdown, self.0.keep()).await;
    }
}
