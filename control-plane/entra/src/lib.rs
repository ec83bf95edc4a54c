//! Entra ID as the control plane uses it: callers' tokens are validated, targets' tokens are minted.
//!
//! Validation is strict, in a fixed order, and says nothing to the caller of why it refused. Minting uses a
//! federated assertion signed by our own issuer key: no client secret exists, and a minted token is never
//! parsed. Facts are from the Microsoft identity platform's public documentation (access tokens, signing key
//! rollover, client credentials flow, workload identity federation).

mod assertion;
mod authority;
mod base64url;
mod claims;
mod http;
mod jwks;
mod mint;
mod strict_json;
mod token_error;
mod validate;

pub use assertion::{AssertionKey, KeyError};
pub use authority::{Authority, AuthorityError};
pub use http::{HttpError, Roots, client};
pub use jwks::{KeyTiming, SigningKeys};
pub use mint::{MintError, MintRequest, Minted, Minter};
pub use token_error::TokenError;
pub use validate::{ValidatedToken, Validator};

#[cfg(test)]
mod test_http;
