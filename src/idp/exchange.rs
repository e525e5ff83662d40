//! The authorization request and the exchange of its code, by the OpenID Connect crate over our own HTTP client.
//!
//! The crate is given no keys and shown no ID token to parse: it carries the token's text, and [`super`] verifies that.

use std::borrow::Cow;

use ::http::header::{ACCEPT, AUTHORIZATION};
use ::http::{Request, StatusCode};
use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EmptyAdditionalClaims, HttpRequest, HttpResponse, IdToken, IssuerUrl, JsonWebKeySet, LoginHint, Nonce,
    OAuth2TokenResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse,
    TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::discovery::{ClientAuthentication, Metadata};
use super::{Error, Part, Settings};
use crate::http::{self, Client, bearer};
use crate::jose::object_without_duplicates;
use crate::login::{Ask, Prompt};
use crate::secret::Secret;

/// Bytes of an answer of the token or userinfo endpoint: a few tokens of 64 KiB at the most.
const MAX_ANSWER: usize = 256 * 1024;

/// The crate's client, for token answers of our own type.
type OidcClient = openidconnect::Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenAnswer,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
>;

/// What the token endpoint gave.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access_token: Secret<String>,
    pub(super) id_token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
}

/// The answer of the token endpoint, as far as we read it (OpenID Connect Core §3.1.3.3). The crate's own type would
/// parse the ID token too, and refuse claims that are none of our business.
#[derive(Serialize, Deserialize)]
struct TokenAnswer {
    access_token: AccessToken,
    token_type: CoreTokenType,
    id_token: String,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenAnswer")
    }
}

impl OAuth2TokenResponse for TokenAnswer {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &CoreTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        None
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

type UnusedIdToken =
    IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

impl TokenResponse<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>
    for TokenAnswer
{
    fn id_token(&self) -> Option<&UnusedIdToken> {
        None
    }
}

/// Why a call that the crate made has no answer for it to read.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("no answer")]
    NoAnswer(#[source] http::Error),
    #[error("status {0}")]
    Status(u16),
}

/// Our HTTP client in the form that the crate calls.
struct Carrier(Client);

impl<'c> AsyncHttpClient<'c> for Carrier {
    type Error = Interrupted;
    type Future = BoxFuture<'c, Result<HttpResponse, Interrupted>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.0.send(request, MAX_ANSWER).await.map_err(Interrupted::NoAnswer)?;
            // What the crate reads must be meant by the endpoint, not by a proxy in front of it.
            match answer.status().as_u16() {
                status @ (408 | 429 | 500..) => Err(Interrupted::Status(status)),
                _ => Ok(answer),
            }
        })
    }
}

/// The authorization request, as a URL (OpenID Connect Core §3.1.2.1).
pub(super) fn authorization_url(
    settings: &Settings,
    metadata: &Metadata,
    ask: &Ask,
    redirect_uri: &Url,
) -> Result<Url, Error> {
    let (state, nonce) = (ask.state.clone(), ask.nonce.clone());
    let client = oidc_client(settings)?
        .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
    let mut request = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(state), || Nonce::new(nonce))
        .add_extra_param("code_challenge", ask.code_challenge.clone())
        .add_extra_param("code_challenge_method", "S256")
        .set_max_age(ask.max_age)
        // `openid` is there already.
        .add_scopes(settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new));
    let background = settings.revalidate.as_ref().filter(|revalidate| revalidate.in_background());
    let for_refresh = background.iter().flat_map(|revalidate| &revalidate.scopes);
    request = request.add_scopes(for_refresh.filter(|scope| !settings.scopes.contains(scope)).cloned().map(Scope::new));
    let consent = background.is_some_and(|revalidate| revalidate.consent);
    request = match ask.prompt {
        Some(Prompt::Silent) => request.add_prompt(CoreAuthPrompt::None),
        Some(Prompt::Login) => request.add_prompt(CoreAuthPrompt::Login),
        None => request,
    };
    if consent && ask.prompt != Some(Prompt::Silent) {
        request = request.add_prompt(CoreAuthPrompt::Consent);
    }
    if let Some(hint) = &ask.login_hint {
        request = request.set_login_hint(LoginHint::new(hint.clone()));
    }
    Ok(request.url().0)
}

/// Exchanges `code` for tokens (OpenID Connect Core §3.1.3.1, RFC 7636 §4.5).
pub(super) async fn exchange(
    settings: &Settings,
    client: &Client,
    metadata: &Metadata,
    code: Secret<String>,
    verifier: &Secret<String>,
    redirect_uri: &Url,
) -> Result<Tokens, Error> {
    let mut oidc = oidc_client(settings)?;
    if let Some(secret) = &settings.client_secret {
        oidc = oidc.set_client_secret(ClientSecret::new(secret.expose().clone()));
        oidc = oidc.set_auth_type(match metadata.client_authentication {
            ClientAuthentication::Basic => AuthType::BasicAuth,
            ClientAuthentication::Post => AuthType::RequestBody,
            ClientAuthentication::Other => return Err(Error::NoClientAuthentication),
        });
    }
    let oidc = oidc.set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
    let answer = oidc
        .exchange_code(AuthorizationCode::new(code.expose().clone()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()))
        .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
        .request_async(&Carrier(client.clone()))
        .await
        .map_err(refusal)?;
    Ok(Tokens {
        access_token: Secret::new(answer.access_token.secret().clone()),
        id_token: Secret::new(answer.id_token),
        refresh_token: answer.refresh_token.map(|token| Secret::new(token.secret().clone())),
    })
}

/// What the userinfo endpoint says (OpenID Connect Core §5.3), whoever it speaks of.
pub(super) async fn userinfo(
    client: &Client,
    endpoint: &Url,
    access_token: &Secret<String>,
) -> Result<Map<String, Value>, Error> {
    let unusable = Error::Unusable(Part::Userinfo);
    let bearer = bearer(access_token).ok_or_else(|| unusable.clone())?;
    let request = Request::get(endpoint.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, bearer)
        .body(Vec::new())
        .map_err(|_| unusable.clone())?;
    let answer = client.send(request, MAX_ANSWER).await.map_err(|e| Error::from_http(Part::Userinfo, e))?;
    if answer.status() != StatusCode::OK {
        return Err(Error::from_status(Part::Userinfo, answer.status().as_u16()));
    }
    object_without_duplicates(answer.body()).ok_or(unusable)
}

fn oidc_client(settings: &Settings) -> Result<OidcClient, Error> {
    // An issuer is a URL; the crate only wants it in its own type.
    let issuer = IssuerUrl::new(settings.issuer.as_str().to_owned()).map_err(|_| Error::WrongIssuer)?;
    Ok(OidcClient::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::default()))
}

/// What the crate's error means. Its text and the bodies in it are dropped: they may hold tokens.
fn refusal(error: RequestTokenError<Interrupted, StandardErrorResponse<CoreErrorResponseType>>) -> Error {
    match error {
        RequestTokenError::Request(Interrupted::NoAnswer(error)) => Error::from_http(Part::Token, error),
        RequestTokenError::Request(Interrupted::Status(status)) => Error::from_status(Part::Token, status),
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            CoreErrorResponseType::InvalidGrant => Error::CodeRefused,
            CoreErrorResponseType::InvalidClient
            | CoreErrorResponseType::InvalidRequest
            | CoreErrorResponseType::InvalidScope
            | CoreErrorResponseType::UnauthorizedClient
            | CoreErrorResponseType::UnsupportedGrantType
            | CoreErrorResponseType::Extension(_) => Error::ClientRefused,
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Error::Unusable(Part::Token),
    }
}
