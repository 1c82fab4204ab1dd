//! A check request as JSON: what `--request FILE` reads, with the field names of rule tests.
//!
//! Not here: what a value means. A country that is none is passed on and decided by the server
//! (`ATTRIBUTE_INVALID:country`); only what has no form on the wire is refused here.
//!
//! Invariant: unknown fields are refused, so that a misspelt attribute is not silently unsaid.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// May this customer be offered, or keep using, this product, through this offer?
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDocument {
    pub(super) customer: CustomerDocument,
    pub(super) offer: String,
    pub(super) action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) consistency: Option<ConsistencyDocument>,
}

/// How new the rules must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ConsistencyDocument {
    /// As new as the server's lease allows: the default.
    Leased,
    /// At least as new as an earlier answer or write.
    AtLeastToken(String),
    /// As new as the store.
    Strict,
}

/// What the caller says about a customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomerDocument {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) relationship: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) us_person: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) date_of_birth: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) vulnerable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) holding: Option<HoldingDocument>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) holdings: BTreeMap<String, HoldingDocument>,
}

/// The customer's relation to a product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldingDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) term_end: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) covered_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit_count: Option<u32>,
}
