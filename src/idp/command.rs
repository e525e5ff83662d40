//! The commands of an IdP about its people (OpenID Provider Commands).

use super::Idp;
use super::call::{self, NotAdmitted};
use crate::event::command::{self, CommandClaims, CommandToken};
use crate::jose::Alg;
use crate::policy::Widest;

/// How an IdP may command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// What its tokens name as the endpoint, one is enough; none: the endpoint's URL at the app's own origin.
    pub audiences: Vec<String>,
    /// The widest that one command may reach: a person or a tenant.
    pub widest: Widest,
}

impl Idp {
    /// How it may command, if it may.
    pub const fn commands(&self) -> Option<&Commands> {
        self.settings.commands.as_ref()
    }

    /// What a token asks for that was posted to the endpoint of commands, whose URL is `endpoint`. A token is used up by
    /// this; [`Idp::has_not_done`] takes it back.
    pub async fn command(
        &self,
        settings: &Commands,
        compact: &str,
        endpoint: &str,
    ) -> Result<CommandToken, NotAdmitted> {
        let here = [endpoint.to_owned()];
        let endpoints = call::endpoints(&settings.audiences, &here);
        let issuer = &self.settings.issuer;
        let expectation = command::expectation(issuer, endpoints, &Alg::ALL);
        let token = self.keys.verify::<CommandClaims>(compact, &expectation).await?;
        let token = command::parse(token, &self.settings.client_id)?;
        call::use_up(&self.commanded, (issuer, &token.jti), token.good_until, self.clock.now())?;
        Ok(token)
    }

    /// The IdP is to come again, with the same token: nothing durable came of this time.
    pub fn has_not_done(&self, token: &CommandToken) {
        self.commanded.not_used(self.settings.issuer.as_str(), &token.jti);
    }
}
