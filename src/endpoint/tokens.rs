//! The apps' own tokens on their way through: opened and judged coming in, sealed going out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};

use super::admission::held;
use super::{Ask, Endpoints};
use crate::apps::{Access, App, CanonicalPath, Field};
use crate::evidence::{self, Bearer, Borne, Evidence, Reading, Root, Scheme};
use crate::idp::access::{Presented, Refused};
use crate::lineage::{self, AppToken, Lineage, Media, is_sealed};
use crate::session::Session;
use crate::time::Timestamp;

/// What a forwarded request brings of tokens, and what the tokens in its answer grow from.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Headers that the app gets instead of those that were sent.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that the app does not get.
    withheld: Vec<HeaderName>,
    /// The body that the app gets instead of the one that was sent.
    body: Option<Bytes>,
    root: Option<Root>,
}

impl Tokens {
    /// Headers that the app gets instead of those that were sent.
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Headers that the app does not get.
    pub(crate) fn withheld(&self) -> &[HeaderName] {
        &self.withheld
    }

    /// The body that the app gets instead of the one that was sent.
    pub(crate) fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }
}

/// Nobody can say at the moment whether an access token is one.
pub(super) struct Unavailable;

impl Endpoints {
    /// True where the app takes tokens in the body of a request: it is read before anything is decided.
    pub(crate) fn takes_tokens_in_body(app: &App, path: &CanonicalPath) -> bool {
        app.minting.iter().flat_map(|minting| minting.at(path)).any(|place| !place.request.is_empty())
    }

    /// Reads the tokens of a request into `evidence`, and says what becomes of them on the way to the app.
    pub(super) async fn bear(
        &self,
        ask: &Ask<'_>,
        app: &App,
        by: Access,
        evidence: &mut Evidence,
    ) -> Result<Tokens, Unavailable> {
        let parts = self.parts();
        let now = parts.clock.now();
        let with = Reading { app, ring: &parts.ring, horizon: parts.enforcer.horizon(now), now };
        let mut borne = evidence::in_headers(ask.headers, by, &with);
        if let (Some(minting), Some(body)) = (&app.minting, ask.body) {
            let kind = ask.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let fields = minting.at(ask.path).flat_map(|place| &place.request);
            evidence::in_body(&mut borne, kind, body, fields, &with);
        }
        for fault in &borne.faults {
            parts.metrics.seal_failed(fault);
            tracing::debug!(app = app.name, why = fault, "a token does not count");
        }
        if by == Access::Public {
            return Ok(self.bear_in_public(ask, app, evidence, borne));
        }
        if let Some((scheme, token)) = borne.access.take() {
            match self.ask_idp(ask, app, scheme, &token, with.horizon).await {
                Ok(bearer) => borne.bearers.push(bearer),
                Err(Refused::Unavailable) => {
                    parts.metrics.token_refused(Refused::Unavailable.word());
                    return Err(Unavailable);
                }
                Err(refused) => {
                    parts.metrics.token_refused(refused.word());
                    tracing::debug!(app = app.name, why = refused.word(), "an access token does not count");
                    borne.bad = borne.bad.or_else(|| refused.bad_token());
                }
            }
        }
        evidence.bearers = borne.bearers;
        evidence.bad_token = borne.bad;
        let root = self.root(ask, app, evidence.session(), &evidence.bearers);
        Ok(Tokens { headers: borne.headers, withheld: vec![], body: borne.body.map(Bytes::from), root })
    }

    /// Asks the IdP of `app`, or what is known of its keys, about an access token.
    async fn ask_idp(
        &self,
        ask: &Ask<'_>,
        app: &App,
        scheme: Scheme,
        token: &str,
        horizon: Timestamp,
    ) -> Result<Bearer, Refused> {
        let (Some(rules), Some(idp)) = (&app.bearer, self.parts().idps.get(&app.idp)) else {
            return Err(Refused::Token("not_taken"));
        };
        let proofs: Option<Vec<_>> = ask.headers.get_all("dpop").iter().map(|value| value.to_str().ok()).collect();
        let Some(proofs) = proofs else { return Err(Refused::Proof("malformed")) };
        let url = format!("{}{}", app.origin.as_str(), ask.path);
        let presented = Presented { scheme, token, proofs: &proofs, method: ask.method.as_str(), url: &url };
        idp.access(&presented, rules, &self.parts().ring, horizon).await
    }

    /// On public paths nobody is asked for anything: a token that counts goes to the app out of its seal, and none that
    /// does not.
    fn bear_in_public(&self, ask: &Ask<'_>, app: &App, evidence: &Evidence, borne: Borne) -> Tokens {
        let clear = |lineage: &Lineage| self.parts().enforcer.judge(&lineage.credential(app.key)).is_clear();
        if borne.bad.is_none() && borne.bearers.iter().all(|bearer| clear(&bearer.lineage)) {
            let session = evidence.session().filter(|session| clear(&Lineage::of(session)));
            let root = self.root(ask, app, session, &borne.bearers);
            return Tokens { headers: borne.headers, withheld: vec![], body: borne.body.map(Bytes::from), root };
        }
        let credentials: Vec<_> = borne.bearers.iter().map(|bearer| held(bearer, bearer.lineage.clone())).collect();
        self.count_refused_elsewhere(&credentials, app);
        let opened = borne.headers.into_iter().map(|(name, _)| name);
        let bearing = ask.headers.iter().filter(|(_, value)| evidence::has_mark(value)).map(|(name, _)| name.clone());
        Tokens { withheld: opened.chain(bearing).collect(), ..Tokens::default() }
    }

    /// What tokens in the answer grow from, where the app makes some.
    fn root(&self, ask: &Ask<'_>, app: &App, session: Option<&Session>, bearers: &[Bearer]) -> Option<Root> {
        let minting = app.minting.as_ref()?;
        minting.at(ask.path).find(|place| !place.response.is_empty())?;
        Root::of(session, bearers, minting)
    }

    /// The fields of an answer in which `app` gives out tokens; none where nothing is known that they could grow from.
    pub(crate) fn minted_fields(app: &App, tokens: &Tokens, path: &CanonicalPath) -> Vec<Field> {
        match (&app.minting, &tokens.root) {
            (Some(minting), Some(_)) => minting.at(path).flat_map(|place| &place.response).cloned().collect(),
            _ => vec![],
        }
    }

    /// The body of an answer with its tokens sealed; `None` to leave it as it is.
    pub(crate) fn seal_body(
        &self,
        app: &App,
        tokens: &Tokens,
        fields: &[Field],
        media: Media,
        body: &[u8],
    ) -> Option<Vec<u8>> {
        let root = tokens.root.as_ref()?;
        lineage::replace(media, body, fields.iter(), |text| self.seal_token(app, root, text))
    }

    /// The address of a redirect with its tokens sealed; `None` to leave it as it is.
    pub(crate) fn seal_redirect(&self, app: &App, tokens: &Tokens, fields: &[Field], location: &str) -> Option<String> {
        let root = tokens.root.as_ref()?;
        lineage::replace_in_address(location, fields.iter(), |text| self.seal_token(app, root, text))
    }

    fn seal_token(&self, app: &App, root: &Root, text: &str) -> Option<String> {
        let parts = self.parts();
        if text.is_empty() || is_sealed(text) {
            return None;
        }
        let (lineage, person) = (root.lineage.clone(), Arc::clone(&root.person));
        let sealed = AppToken { lineage, person, ends_at: root.ends_at, value: text.to_owned() }.seal(&parts.ring, app);
        if sealed.is_some() {
            parts.metrics.token_sealed(&app.name);
        } else {
            // Unsealed it goes out, and never comes back as a token.
            self.not_sealed(app, "token_too_large");
        }
        sealed
    }

    /// What an app gave out could not be sealed: it goes out as it is, and never becomes valid.
    pub(crate) fn not_sealed(&self, app: &App, why: &'static str) {
        self.parts().metrics.seal_failed(why);
        tracing::warn!(app = app.name, why, "tokens that the app gives out cannot be sealed, and will not count");
    }
}
