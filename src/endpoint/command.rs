//! Commands of an IdP about its people (OpenID Provider Commands): the one signal that is answered with how somebody
//! stands.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::called::{Refusal, Unserved};
use super::signal::{is_of, later, one_of_form, spoken_for};
use super::{Call, Endpoints, PREFIX, answer};
use crate::event::command::{Asked, CommandToken, METADATA, OnAccount, OnTenant};
use crate::event::reject;
use crate::identity::{Target, TargetKind};
use crate::idp::{Commands, Idp, NotAdmitted};
use crate::jose::Reject;
use crate::policy::{Act, Command, SpokenFor, State, Widest, on_account, on_tenant};
use crate::revocation::Reach;

/// The errors of the draft that a call has.
const INVALID: &str = "invalid_request";
const UNSUPPORTED: &str = "unsupported_command";

fn refuse(status: StatusCode, error: &'static str, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(status, error, error, why)
}

fn invalid(why: &dyn std::fmt::Display) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, INVALID, why)
}

fn unsupported(why: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, UNSUPPORTED, &why)
}

fn not_admitted(why: NotAdmitted) -> Unserved {
    Unserved::Refused(match why {
        NotAdmitted::Unavailable => return Unserved::Later,
        // Somebody else's issuer, or a key that is none of the IdP's: it is not the IdP that speaks.
        NotAdmitted::Token(Reject::Issuer | Reject::UnknownKey) => {
            refuse(StatusCode::UNAUTHORIZED, "unrecognized_provider", &why)
        }
        NotAdmitted::Replayed => Refusal { word: "replayed", ..invalid(&why) },
        NotAdmitted::Token(reject) => Refusal { word: reject::code(reject).word(), ..invalid(&why) },
        NotAdmitted::Stranger => invalid(&why),
    })
}

impl Endpoints {
    /// `/oauth2/commands/{idp}` (§Command Response): 200 when it is done, in force and on disk; 409 where the account is
    /// not in a state for it; 400 `invalid_request` or `unsupported_command`; 401 for who is not the IdP.
    pub(super) async fn command(&self, name: &str, call: &Call<'_>) -> Response<Bytes> {
        let idp = self.0.idps.get(name);
        let Some((idp, settings)) = idp.and_then(|idp| Some((idp, idp.commands()?))) else {
            return answer::empty(StatusCode::NOT_FOUND);
        };
        match self.commanded(idp, settings, call).await {
            Ok(response) => response,
            Err(Unserved::Later) => later(),
            Err(Unserved::Refused(refusal)) => {
                self.refuses_call("command", name, &refusal);
                answer::json(refusal.status, &refusal.json())
            }
        }
    }

    async fn commanded(&self, idp: &Idp, settings: &Commands, call: &Call<'_>) -> Result<Response<Bytes>, Unserved> {
        let compact = command_token(call).ok_or_else(|| invalid(&"there is not one `command_token` in a form"))?;
        // The app's origin is from the config: what a request says of its host decides nothing here.
        let endpoint = format!("{}{PREFIX}/commands/{}", call.app.origin.as_str(), idp.name());
        let token = idp.command(settings, &compact, &endpoint).await.map_err(not_admitted)?;
        let by = spoken_for(idp);
        let done = match &token.asked {
            Asked::Metadata => Ok(answer::json(StatusCode::OK, &metadata(&token, settings, &by, &endpoint))),
            Asked::Account { what, sub } => self.command_of_account(*what, sub, &token, &by).await,
            Asked::Tenant { what, .. } => self.command_of_tenant(*what, &token, settings, &by, call).await,
            Asked::Unsupported => {
                Err(unsupported("this command is not done here; `metadata` lists those that are").into())
            }
        };
        done.map_err(|unserved| match unserved {
            Unserved::Later => {
                idp.has_not_done(&token);
                Unserved::Later
            }
            Unserved::Refused(refusal) => Unserved::Refused(Refusal { jti: Some(token.jti.clone()), ..refusal }),
        })
    }

    async fn command_of_account(
        &self,
        what: OnAccount,
        sub: &str,
        token: &CommandToken,
        by: &SpokenFor,
    ) -> Result<Response<Bytes>, Unserved> {
        let Some(command) = Command::of(token, by, self.0.clock.now()) else {
            return Err(invalid(&"`sub` is not valid").into());
        };
        let commanded = on_account(what, self.state_of(&command, token, by), &command);
        let mut state = commanded.state;
        match commanded.act {
            Act::Nothing => {}
            Act::Revoke(revocation) => drop(self.0.intake.accept(vec![revocation]).await?),
            Act::Lift(lifted) => {
                self.0.intake.lift(vec![lifted]).await?;
                // A hold of the same second, or one of the whole tenant, is still there.
                let now = self.state_of(&command, token, by);
                state = if now == State::Active { state } else { Err(now) };
            }
        }
        Ok(match state {
            Ok(state) => answer::json(StatusCode::OK, &json!({ "account_state": state.word(), "sub": sub })),
            Err(state) => answer::json(
                StatusCode::CONFLICT,
                &json!({ "account_state": state.word(), "error": "incompatible_state", "sub": sub }),
            ),
        })
    }

    /// How the account stands that `command` is about: by its own hold, else by one of its tenant or of everybody.
    fn state_of(&self, command: &Command<'_>, token: &CommandToken, by: &SpokenFor) -> State {
        if let Some(hold) = self.0.enforcer.hold_on(command.whom(), &Reach::All) {
            return State::of(&hold.revocation.origin);
        }
        let tenant = token.tenant.as_ref().and_then(|tenant| Target::new(&by.issuer, TargetKind::Tenant, tenant));
        let user = command.whom().targets().first().cloned();
        let targets: Vec<_> = [user, tenant, Some(Target::everyone(&by.issuer))].into_iter().flatten().collect();
        if self.0.enforcer.holds_any(&targets) { State::Suspended } else { State::Active }
    }

    async fn command_of_tenant(
        &self,
        what: OnTenant,
        token: &CommandToken,
        settings: &Commands,
        by: &SpokenFor,
        call: &Call<'_>,
    ) -> Result<Response<Bytes>, Unserved> {
        // Law 7. The draft: a command may be supported for some OPs and not for others.
        if settings.widest < Widest::Tenant {
            let why = "commands about a whole tenant are not taken from this provider";
            return Err(Refusal { word: "too_wide", ..unsupported(why) }.into());
        }
        if call.headers().contains_key("last-event-id") {
            let why = "there is one event, and nothing to go on from; send the command without `Last-Event-Id`";
            return Err(refuse(StatusCode::NOT_FOUND, "last-event-id-unavailable", &why).into());
        }
        let Some(command) = Command::of(token, by, self.0.clock.now()) else {
            return Err(invalid(&"`tenant` is not valid").into());
        };
        if let Act::Revoke(revocation) = on_tenant(what, &command) {
            self.0.intake.accept(vec![revocation]).await?;
        }
        Ok(if wants_events(call) { complete() } else { answer::json(StatusCode::OK, &nobody_listed()) })
    }
}

/// What is supported (§Metadata Response).
fn metadata(token: &CommandToken, settings: &Commands, by: &SpokenFor, endpoint: &str) -> Value {
    let mut commands = vec![METADATA];
    commands.extend(OnAccount::ALL.map(OnAccount::word));
    if settings.widest >= Widest::Tenant {
        commands.extend(OnTenant::ALL.map(OnTenant::word));
    }
    let mut context = json!({ "iss": by.issuer });
    if let (Some(tenant), Some(context)) = (&token.tenant, context.as_object_mut()) {
        context.insert("tenant".to_owned(), json!(tenant));
    }
    json!({
        "context": context,
        "commands_supported": commands,
        "command_endpoint": settings.audiences.first().map_or(endpoint, String::as_str),
        "client_id": by.client_id,
    })
}

/// How many accounts were listed: none, there is no list of people here.
fn nobody_listed() -> Value {
    json!({ "total_accounts": 0 })
}

/// The one event of a streaming response (§Streaming Response).
fn complete() -> Response<Bytes> {
    let body = format!("id: 1\nevent: command-complete\ndata: {}\n\n", nobody_listed());
    let mut response = answer::json(StatusCode::OK, &Value::Null);
    *response.body_mut() = Bytes::from(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    response
}

fn wants_events(call: &Call<'_>) -> bool {
    let mut accepted = call.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| {
        value.split(',').any(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
        })
    })
}

/// The one `command_token` of a form.
fn command_token(call: &Call<'_>) -> Option<String> {
    let is_form = is_of(call.headers(), "application/x-www-form-urlencoded");
    is_form.then(|| one_of_form(call.request.body(), "command_token"))?
}
