//! A toy IdP, a toy app and the gateway in one process.

pub mod legacy;

use aws_lc_rs::rand;
use axum::http::{HeaderMap, header};

/// 128 bits of chance as hexadecimal digits.
fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    // The generator fails only where the machine has no entropy at all; an id of zeroes in a demo is then the least worry.
    let _unlikely = rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
