//! How we show the IdP that we are its client (RFC 6749 §2.3.1).

use ::http::HeaderValue;

use super::Error;
use super::discovery::ClientAuthentication;
use crate::http::basic;
use crate::secret::Secret;

/// Puts into `form` who we are, and gives the `Authorization` value that goes with it, if one does. A public client only
/// names itself.
pub(super) fn authenticate(
    form: &mut form_urlencoded::Serializer<'_, String>,
    method: ClientAuthentication,
    id: &str,
    secret: Option<&Secret<String>>,
) -> Result<Option<HeaderValue>, Error> {
    let Some(secret) = secret else {
        form.append_pair("client_id", id);
        return Ok(None);
    };
    match method {
        ClientAuthentication::Basic => basic(id, secret).map(Some).ok_or(Error::NoClientAuthentication),
        ClientAuthentication::Post => {
            form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            Ok(None)
        }
        ClientAuthentication::Other => Err(Error::NoClientAuthentication),
    }
}
