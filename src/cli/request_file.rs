//! A check request as JSON: what `--request FILE` reads, with the field names of rule tests.
//!
//! Not here: what a value means. A country that is none is passed on and decided by the server
//! (`ATTRIBUTE_INVALID:country`); only what has no form on the wire is refused here.
//!
//! Invariant: unknown fields are refused, so that a misspelt attribute is not silently unsaid; and so is what is said
//! twice, so that the later of two does not quietly win.

use super::exit::Failure;
use super::instants::exact;
use crate::wire::proto;
use proto::consistency::Requirement;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

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
    #[serde(default, deserialize_with = "each_once", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "each_once", skip_serializing_if = "BTreeMap::is_empty")]
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

/// Adds what is said under a name.
///
/// # Errors
/// When something was said under it already.
pub(super) fn say<V>(said: &mut BTreeMap<String, V>, name: String, value: V) -> Result<(), String> {
    if said.contains_key(&name) {
        return Err(format!("`{name}` is said twice"));
    }
    said.insert(name, value);
    Ok(())
}

/// Reads a map that says each thing once.
fn each_once<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct EachOnce<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for EachOnce<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut said = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                say(&mut said, name, value).map_err(A::Error::custom)?;
            }
            Ok(said)
        }
    }
    from.deserialize_map(EachOnce(PhantomData))
}

impl RequestDocument {
    /// The request as it is sent.
    pub(super) fn to_wire(&self) -> Result<proto::CheckEligibilityRequest, Failure> {
        let consistency = match &self.consistency {
            None | Some(ConsistencyDocument::Leased) => None,
            Some(ConsistencyDocument::AtLeastToken(token)) => {
                Some(Requirement::AtLeastToken(token.clone()))
            }
            Some(ConsistencyDocument::Strict) => Some(Requirement::Strict(true)),
        };
        Ok(proto::CheckEligibilityRequest {
            customer: Some(self.customer.to_wire()?),
            offer: self.offer.clone(),
            action: named("action", "ACTION_", &self.action, proto::Action::from_str_name)?.into(),
            channel: self.channel.clone(),
            device: self.device.clone(),
            consistency: consistency
                .map(|requirement| proto::Consistency { requirement: Some(requirement) }),
        })
    }
}

impl CustomerDocument {
    /// The customer as it is sent.
    pub(super) fn to_wire(&self) -> Result<proto::Customer, Failure> {
        let relationship = match &self.relationship {
            Some(text) => named(
                "customer.relationship",
                "RELATIONSHIP_",
                text,
                proto::Relationship::from_str_name,
            )?,
            None => proto::Relationship::Unspecified,
        };
        let holdings = self.holdings.iter().map(|(product, holding)| {
            let path = format!("customer.holdings.{product}");
            Ok((product.clone(), holding.to_wire(&path)?))
        });
        let attributes = self.attributes.iter();
        Ok(proto::Customer {
            id: self.id.clone(),
            relationship: relationship.into(),
            country: self.country.clone(),
            segment: self.segment.clone(),
            us_person: self.us_person,
            date_of_birth: self.date_of_birth.clone(),
            vulnerable: self.vulnerable,
            holding: self
                .holding
                .as_ref()
                .map(|holding| holding.to_wire("customer.holding"))
                .transpose()?,
            attributes: attributes.map(|(name, value)| (name.clone(), wire_value(value))).collect(),
            holdings: holdings.collect::<Result<_, Failure>>()?,
        })
    }
}

impl HoldingDocument {
    fn to_wire(&self, path: &str) -> Result<proto::Holding, Failure> {
        let status = match &self.status {
            Some(text) => named(
                &format!("{path}.status"),
                "HOLDING_STATUS_",
                text,
                proto::HoldingStatus::from_str_name,
            )?,
            None => proto::HoldingStatus::Unspecified,
        };
        let instant = |field: &str, text: Option<&String>| {
            text.map(|text| exact(&format!("{path}.{field}"), text)).transpose()
        };
        Ok(proto::Holding {
            status: status.into(),
            accepted_at: instant("accepted_at", self.accepted_at.as_ref())?,
            term_end: instant("term_end", self.term_end.as_ref())?,
            covered_by: self.covered_by.clone(),
            unit_count: self.unit_count,
        })
    }
}

/// The value of a closed list; what has no form on the wire cannot be asked.
fn named<E>(
    field: &str,
    prefix: &str,
    text: &str,
    from_name: fn(&str) -> Option<E>,
) -> Result<E, Failure> {
    // `UNSPECIFIED` is a name on the wire only: it says that nothing was said.
    let known = from_name(&format!("{prefix}{text}")).filter(|_| text != "UNSPECIFIED");
    known.ok_or_else(|| {
        Failure::usage(format_args!("{field} `{text}` is not one of the allowed names"))
            .help("names are in capitals, such as OFFER, EXISTING or ACTIVE")
    })
}

/// Keeps null, lists and maps as they are: the server decides them as invalid, by name.
fn wire_value(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(prost_types::ListValue {
            values: items.iter().map(wire_value).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields.iter().map(|(name, value)| (name.clone(), wire_value(value))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}
