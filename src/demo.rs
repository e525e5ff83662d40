//! A toy IdP and a toy app on loopback, for the gateway to stand between.
//!
//! Both speak real HTTP on ports of their own: a revocation here is a signed SET that is pushed to the gateway, not a
//! function call. The IdP's address is `127.0.0.1`, the gateway's is `localhost`: cookies ignore ports, so on one
//! name they would mix.

pub mod idp;
pub mod legacy;
pub mod transmitter;

pub use self::run::run;

mod commands;
mod outbound;
mod run;

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderMap, header};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::Url;

use self::idp::{Client, Idp};
use self::legacy::Legacy;
use self::transmitter::{Receiver, Transmitter};
use crate::identity::Issuer;
use crate::secret::Secret;
use crate::time::Clock;

/// Where things are to be, and where the gateway is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the IdP listens; port 0 takes any.
    pub idp: SocketAddr,
    /// Where the app listens; port 0 takes any.
    pub app: SocketAddr,
    /// The gateway's public origin, as people type it: `http://localhost:8080`.
    pub gateway: Url,
    /// The path at which the gateway takes pushed SETs.
    pub push_path: String,
    /// The path at which the gateway takes logout tokens.
    pub backchannel_path: String,
    /// The `aud` of the SETs.
    pub audience: String,
}

/// The running toys. Dropping this stops them.
#[derive(Debug)]
pub struct Demo {
    /// The IdP's issuer, where its discovery document is.
    pub issuer: Issuer,
    /// The gateway's id at the IdP.
    pub client_id: String,
    /// The gateway's secret at the IdP.
    pub client_secret: Secret<String>,
    /// What the IdP presents with a pushed SET, after `Bearer `.
    pub push_token: Secret<String>,
    /// What the gateway presents at the IdP's stream endpoints, after `Bearer `.
    pub management_token: Secret<String>,
    /// The `stream_id` of the stream that stands ready at the IdP.
    pub stream_id: String,
    /// Where the app listens.
    pub app_addr: SocketAddr,
    /// The IdP, to be tuned and asked.
    pub idp: Idp,
    /// The IdP's side of the stream.
    pub transmitter: Transmitter,
    /// The app, to be asked.
    pub app: Legacy,
    _servers: [Server; 2],
}

impl Demo {
    /// The page that lists the IdP's sessions, with a button to end each.
    pub fn desk(&self) -> String {
        format!("{}/desk", self.issuer)
    }

    /// The command that ends all sessions of `user`.
    pub fn revoke_command(&self, user: &str) -> String {
        revoke_command(&self.issuer, user)
    }

    /// Names to sign in with; the password is [`idp::PASSWORD`].
    pub fn sign_in_names(&self) -> Vec<String> {
        self.idp.people().into_iter().map(|person| person.user).collect()
    }
}

/// Starts the IdP and the app, and tells the IdP of the gateway.
pub async fn start(settings: &Settings, clock: &Clock) -> anyhow::Result<Demo> {
    let (idp, listener) = Idp::bind(settings.idp, clock.clone()).await.context("the IdP cannot start")?;
    let gateway =
        |path: &str| settings.gateway.join(path).map(String::from).context("the gateway's address is unusable");
    let (client_id, client_secret) = ("portcullis".to_owned(), Secret::new(random_id()));
    idp.register(Client {
        id: client_id.clone(),
        secret: client_secret.clone(),
        name: "Payroll 2003".to_owned(),
        redirect_uris: vec![gateway("/oauth2/callback")?],
        post_logout_redirect_uris: vec![gateway("/")?, gateway("/oauth2/signed_out")?],
        backchannel_logout_uri: Some(gateway(&settings.backchannel_path)?),
    });

    let (push_token, management_token) = (Secret::new(random_id()), Secret::new(random_id()));
    let transmitter = Transmitter::new(idp.clone(), management_token.clone());
    let stream_id = "demo".to_owned();
    transmitter.send_to(Receiver {
        stream_id: stream_id.clone(),
        push_url: gateway(&settings.push_path)?,
        authorization: Some(Secret::new(format!("Bearer {}", push_token.expose()))),
        audience: settings.audience.clone(),
    });
    let desk = commands::router(idp.clone(), client_id.clone(), gateway("/oauth2/commands/demo")?);
    let idp_server = Server::start(listener, idp.router().merge(transmitter.router()).merge(desk));

    let issuer = idp.issuer().clone();
    let app = Legacy::new(
        legacy::Settings { desk: format!("{issuer}/desk"), command: revoke_command(&issuer, "{user}") },
        clock.clone(),
    );
    let listener = TcpListener::bind(settings.app).await.context("the app cannot start")?;
    let app_addr = listener.local_addr().context("the app cannot start")?;
    let app_server = Server::start(listener, app.router());

    Ok(Demo {
        issuer,
        client_id,
        client_secret,
        push_token,
        management_token,
        stream_id,
        app_addr,
        idp,
        transmitter,
        app,
        _servers: [idp_server, app_server],
    })
}

/// A server of the demo's. Dropping it ends it: nothing is accepted any more, idle connections close, answers that are
/// being given are given.
#[derive(Debug)]
pub struct Server {
    _running: oneshot::Sender<()>,
}

impl Server {
    /// Serves `router` on `listener` until dropped.
    pub fn start(listener: TcpListener, router: Router) -> Self {
        let (running, ended) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            let _dropped = ended.await;
        });
        #[expect(clippy::disallowed_methods, reason = "the demo's servers live outside the gateway's task set")]
        tokio::spawn(async {
            // Accept errors are retried inside; this ends only when the handle is dropped.
            let _ended = serving.await;
        });
        Self { _running: running }
    }
}

fn revoke_command(issuer: &Issuer, user: &str) -> String {
    format!("curl -X POST '{issuer}/admin/revoke?user={user}'")
}

/// 128 bits of chance as hexadecimal digits.
#[expect(clippy::expect_used, reason = "a machine without entropy must not run even a demo of this")]
fn random_id() -> String {
    crate::seal::unguessable().expect("the system gives random numbers")
}

/// The value of the first cookie of that name.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
}

#[cfg(test)]
mod tests;
