//! How we show the IdP that we are its client (RFC 6749 §2.3.1).

use ::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use super::discovery::ClientAuthentication;
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
        ClientAuthentication::Basic => {
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
            let basic = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
            let mut basic = HeaderValue::from_str(basic.expose()).map_err(|_| Error::NoClientAuthentication)?;
            basic.set_sensitive(true);
            Ok(Some(basic))
        }
        ClientAuthentication::Post => {
            form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            Ok(None)
        }
        ClientAuthentication::Other => Err(Error::NoClientAuthentication),
    }
}
