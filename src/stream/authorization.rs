//! What the gateway presents to a transmitter: a token that it was given, or one that it fetches as an OAuth client
//! (RFC 6749 §4.4) and fetches anew before its end.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ::http::{Request, Response};
use serde_json::{Value, json};
use url::Url;

use crate::event::stream_config::{SCOPES, scopes};
use crate::http::{Cached, Client, Fetched, basic};
use crate::jose::{Signer, object_without_duplicates};
use crate::seal::unguessable;
use crate::secret::Secret;
use crate::time::Clock;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a token is good whose end nobody says.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// How long one is good at the most, whatever is said.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an assertion about ourselves is good (RFC 7523 §3): it is made for one request.
const ASSERTION_LIFE: Duration = Duration::from_secs(60);

/// What is presented.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token that never changes.
    Token(Secret<String>),
    /// Tokens that an authorization server gives us.
    Client(OauthClient),
}

/// The gateway as a client of an authorization server.
#[derive(Clone, Debug)]
pub struct OauthClient {
    /// Where tokens are given.
    pub token_url: Url,
    /// Our name there.
    pub client_id: String,
    /// How we show that it is us.
    pub proof: ClientProof,
    /// What is asked for; `None` asks what the transmitter publishes (RFC 9728), else SSF's usual two.
    pub scopes: Option<Vec<String>>,
}

/// How a client shows who it is (OpenID Connect Core §9).
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// `client_secret_basic`
    Basic(Secret<String>),
    /// `client_secret_post`
    Post(Secret<String>),
    /// `private_key_jwt`
    Key(Arc<Signer>),
}

/// Why there is no token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Nobody has asked yet.
    #[error("no token was asked for yet")]
    NotYet,
    /// No answer.
    #[error("the token endpoint cannot be reached")]
    Unreachable,
    /// It does not give us one: nothing gets better by itself.
    #[error("the token endpoint refuses us ({0}): check `manage.client_id`, its secret or key, and `manage.scopes`")]
    Refused(u16),
    /// It fails.
    #[error("the token endpoint answers {0}")]
    Status(u16),
    /// Its answer is none.
    #[error("the token endpoint's answer is not what RFC 6749 says")]
    Unusable,
    /// What we would present can stand in no header.
    #[error("the token has a character that cannot stand in a header")]
    Unpresentable,
}

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct Tokens {
    credential: Credential,
    client: Client,
    clock: Clock,
    fetched: Cached<Secret<String>, NoToken>,
}

impl Tokens {
    pub(super) fn new(credential: Credential, client: Client, clock: Clock) -> Self {
        let fetched = Cached::new(clock.clone(), NoToken::NotYet);
        Self { credential, client, clock, fetched }
    }

    /// The token to present to `resource`.
    pub(super) async fn token(&self, resource: &Url) -> Result<Arc<Secret<String>>, NoToken> {
        match &self.credential {
            Credential::Token(token) => Ok(Arc::new(token.clone())),
            Credential::Client(client) => self.fetched.current(self.fetch(client, resource)).await,
        }
    }

    /// Another token after `seen`, where `answer` does not accept that and another can be had.
    pub(super) async fn instead_of(
        &self,
        seen: &Arc<Secret<String>>,
        resource: &Url,
        answer: &Response<Vec<u8>>,
    ) -> Result<Option<Arc<Secret<String>>>, NoToken> {
        match &self.credential {
            Credential::Client(client) if answer.status() == 401 => {
                self.fetched.renewed(seen, self.fetch(client, resource)).await.map(Some)
            }
            Credential::Client(_) | Credential::Token(_) => Ok(None),
        }
    }

    async fn fetch(&self, client: &OauthClient, resource: &Url) -> Result<Fetched<Secret<String>>, NoToken> {
        let scopes = match &client.scopes {
            Some(scopes) => scopes.clone(),
            None => self.published(resource).await.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec()),
        };
        let request = self.request(client, &scopes.join(" ")).ok_or(NoToken::Unpresentable)?;
        let answer = self.client.send(request, MAX_ANSWER).await.map_err(|_| NoToken::Unreachable)?;
        match answer.status().as_u16() {
            200 => {}
            status @ (400 | 401 | 403) => return Err(NoToken::Refused(status)),
            status => return Err(NoToken::Status(status)),
        }
        let found = object_without_duplicates(answer.body()).ok_or(NoToken::Unusable)?;
        let text = |name: &str| found.get(name).and_then(Value::as_str);
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(NoToken::Unusable);
        }
        let token = text("access_token").filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
        let token = token.filter(|token| !token.is_empty()).ok_or(NoToken::Unusable)?;
        let life = found.get("expires_in").and_then(Value::as_u64).map_or(USUAL_LIFE, Duration::from_secs);
        Ok(Fetched { value: Secret::new(token.to_owned()), good_for: life.min(LONGEST_LIFE) / 5 * 4 })
    }

    /// The scopes that the resource server publishes (RFC 9728 §3.1), below the resource's path or at its root.
    async fn published(&self, resource: &Url) -> Option<Vec<String>> {
        const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
        let mut places =
            [format!("{WELL_KNOWN}{}", resource.path().trim_end_matches('/')), WELL_KNOWN.to_owned()].to_vec();
        places.dedup();
        for path in places {
            let mut place = resource.clone();
            place.set_path(&path);
            place.set_query(None);
            let request = Request::get(place.as_str()).header(ACCEPT, "application/json").body(vec![]).ok()?;
            let Ok(answer) = self.client.send(request, MAX_ANSWER).await else { return None };
            if answer.status() == 200
                && let Some(scopes) = scopes(answer.body(), resource)
            {
                return Some(scopes);
            }
        }
        None
    }

    /// RFC 6749 §4.4.2, with the client shown in its way.
    fn request(&self, client: &OauthClient, scope: &str) -> Option<Request<Vec<u8>>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("scope", scope);
        let mut request = Request::post(client.token_url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &client.proof {
            ClientProof::Basic(secret) => {
                request = request.header(AUTHORIZATION, basic(&client.client_id, secret)?);
            }
            ClientProof::Post(secret) => {
                form.append_pair("client_id", &client.client_id).append_pair("client_secret", secret.expose());
            }
            ClientProof::Key(signer) => {
                let now = self.clock.now();
                let claims = json!({
                    "iss": client.client_id, "sub": client.client_id, "aud": client.token_url.as_str(),
                    "jti": unguessable()?, "iat": now, "exp": now.plus(ASSERTION_LIFE),
                });
                form.append_pair("client_id", &client.client_id)
                    .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", &signer.sign(Some("JWT"), &claims)?);
            }
        }
        request.body(form.finish().into_bytes()).ok()
    }
}
