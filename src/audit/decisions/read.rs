//! Reads the record of a decision.
//!
//! Reading is strict: a field that is unknown, missing or no value of its kind makes the record
//! unreadable. A `null` in what was asked is something that the caller said and that could not be read.

use crate::domain::{
    Action, Attribute, AttributeValue, CheckRequest, Country, Customer, Date, Holding,
    HoldingStatus, Relationship, Timestamp,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A record that was read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded<'a> {
    /// Its number in the log.
    pub seq: u64,
    /// The decision's own id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The instant that was decided for.
    pub at: Timestamp,
    /// Who asked, where that is known.
    #[serde(borrow, default)]
    pub caller: Option<Cow<'a, str>>,
    /// What was asked.
    #[serde(borrow)]
    pub request: RecordedRequest<'a>,
    /// The outcome.
    pub outcome: Cow<'a, str>,
    /// The reasons, in order.
    pub reasons: Vec<Cow<'a, str>>,
    /// The suspensions that stood against it, in order.
    #[serde(default)]
    pub suspensions: Vec<RecordedSuspension<'a>>,
    /// The exemptions that were used, in order.
    #[serde(default)]
    pub exemptions: Vec<Cow<'a, str>>,
    /// The suspensions that were held off by a clause of theirs, in order.
    #[serde(default)]
    pub grandfathered: Vec<Cow<'a, str>>,
    /// The alternate.
    #[serde(borrow, default)]
    pub alternate: Option<Cow<'a, str>>,
    /// First instant at which to ask anew.
    pub valid_until: Timestamp,
    /// The revision of the rules.
    pub revision: u64,
    /// Its place in history; empty when there were no rules.
    #[serde(borrow, default)]
    pub token: Cow<'a, str>,
    /// The staleness limit, in milliseconds.
    pub limit_ms: u64,
    /// The instant that counted, where the wall clock was behind it.
    #[serde(default)]
    pub now: Option<Timestamp>,
    /// What the wall clock said then.
    #[serde(default)]
    pub wall: Option<Timestamp>,
    /// Whether the rules were too old, or may have been.
    #[serde(default)]
    pub stale: bool,
    /// How old the proof was that these were the newest rules, in milliseconds.
    #[serde(default)]
    pub proof_age_ms: Option<u64>,
    /// The hash of the chain at this record.
    #[serde(borrow)]
    pub chain: Cow<'a, str>,
}

/// A suspension that stood against a decision.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedSuspension<'a> {
    /// Which.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// How it hit.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
}

/// What was asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest<'a> {
    /// Who.
    #[serde(borrow)]
    pub customer: RecordedCustomer<'a>,
    /// Through which offer.
    #[serde(borrow)]
    pub offer: Cow<'a, str>,
    /// To do what.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "said")]
    channel: Attribute<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "said")]
    device: Attribute<Cow<'a, str>>,
}

/// What was said about a customer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCustomer<'a> {
    /// The customer's id, or the name that stands for it.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "said")]
    relationship: Attribute<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "said")]
    country: Attribute<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "said")]
    segment: Attribute<Cow<'a, str>>,
    #[serde(default, deserialize_with = "said")]
    us_person: Attribute<bool>,
    #[serde(default, deserialize_with = "said")]
    date_of_birth: Attribute<Date>,
    #[serde(default, deserialize_with = "said")]
    vulnerable: Attribute<bool>,
    #[serde(borrow, default, deserialize_with = "said")]
    holding: Attribute<RecordedHolding<'a>>,
    #[serde(borrow, default)]
    attributes: BTreeMap<Cow<'a, str>, Own<'a>>,
    #[serde(borrow, default)]
    holdings: BTreeMap<Cow<'a, str>, RecordedHolding<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedHolding<'a> {
    #[serde(borrow, default, deserialize_with = "said")]
    status: Attribute<Cow<'a, str>>,
    #[serde(default, deserialize_with = "said")]
    accepted_at: Attribute<Timestamp>,
    #[serde(default, deserialize_with = "said")]
    term_end: Attribute<Timestamp>,
    #[serde(borrow, default, deserialize_with = "said")]
    covered_by: Attribute<Cow<'a, str>>,
    #[serde(default, deserialize_with = "said")]
    unit_count: Attribute<u32>,
}

/// Why a record cannot be used. Never what stands in it: it is about a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not JSON, or not these fields.
    #[error("it is no record of a decision: what ends at byte {0} cannot be read")]
    Malformed(usize),
    /// A value of a closed list that is none.
    #[error("its `{0}` is no value that this version knows")]
    Value(&'static str),
}

fn said<'de, D, T>(deserializer: D) -> Result<Attribute<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let given = Option::deserialize(deserializer)?;
    Ok(given.map_or(Attribute::Invalid, Attribute::Known))
}

impl<'a> Recorded<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no record.
    pub fn read(line: &'a str) -> Result<Self, Unusable> {
        serde_json::from_str(line).map_err(|error| Unusable::Malformed(error.column()))
    }

    /// What was asked, as it was decided.
    ///
    /// # Errors
    /// When a value of it is none.
    pub fn request(&self) -> Result<CheckRequest<'_>, Unusable> {
        let RecordedRequest { customer, offer, action, channel, device } = &self.request;
        Ok(CheckRequest {
            customer: customer.customer()?,
            offer,
            action: Action::from_name(action).ok_or(Unusable::Value("action"))?,
            channel: channel.as_ref().map(Cow::as_ref),
            device: device.as_ref().map(Cow::as_ref),
        })
    }
}

impl RecordedCustomer<'_> {
    fn customer(&self) -> Result<Customer<'_>, Unusable> {
        let relationship = named(&self.relationship, "relationship", Relationship::from_name)?;
        let country = named(&self.country, "country", |text| Country::parse(text).ok())?;
        let holding = match &self.holding {
            Attribute::Known(holding) => Attribute::Known(holding.holding()?),
            Attribute::Missing => Attribute::Missing,
            Attribute::Invalid => Attribute::Invalid,
        };
        let holdings = self.holdings.iter().map(|(product, it)| Ok((&**product, it.holding()?)));
        let attributes = self.attributes.iter().map(|(name, value)| (&**name, value.value()));
        Ok(Customer {
            id: &self.id,
            relationship,
            country,
            segment: self.segment.as_ref().map(Cow::as_ref),
            us_person: self.us_person,
            date_of_birth: self.date_of_birth,
            vulnerable: self.vulnerable,
            holding,
            holdings: holdings.collect::<Result<_, Unusable>>()?,
            attributes: attributes.collect(),
        })
    }
}

impl RecordedHolding<'_> {
    fn holding(&self) -> Result<Holding<'_>, Unusable> {
        Ok(Holding {
            status: named(&self.status, "holding.status", HoldingStatus::from_name)?,
            accepted_at: self.accepted_at,
            term_end: self.term_end,
            covered_by: self.covered_by.as_ref().map(Cow::as_ref),
            unit_count: self.unit_count,
        })
    }
}

fn named<T>(
    given: &Attribute<Cow<'_, str>>,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Attribute<T>, Unusable> {
    Ok(match given {
        Attribute::Known(text) => Attribute::Known(read(text).ok_or(Unusable::Value(name))?),
        Attribute::Missing => Attribute::Missing,
        Attribute::Invalid => Attribute::Invalid,
    })
}

/// One of the bank's own attributes. A number is read to its last bit, which the general reader of JSON
/// does not promise.
#[derive(Debug)]
enum Own<'a> {
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Invalid,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Own<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'a RawValue>::deserialize(deserializer)?.get();
        let wrong = || D::Error::custom("it is no attribute");
        Ok(match json {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            "null" => Self::Invalid,
            text if text.starts_with('"') => {
                Self::Text(serde_json::from_str::<Text<'a>>(text).map_err(|_| wrong())?.0)
            }
            number => Self::Number(number.parse().map_err(|_| wrong())?),
        })
    }
}

impl Own<'_> {
    fn value(&self) -> AttributeValue<'_> {
        match self {
            Self::Bool(value) => AttributeValue::Bool(*value),
            Self::Number(value) => AttributeValue::Number(*value),
            Self::Text(value) => AttributeValue::Text(value),
            Self::Invalid => AttributeValue::Invalid,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::{CustomerIds, CustomerKey, Told};
    use super::*;
    use crate::domain::{Decision, Reason, ReasonCode, Revision};
    use smallvec::smallvec;
    use std::time::Duration;
    use uuid::Uuid;

    fn request() -> CheckRequest<'static> {
        let at = |text: &str| Attribute::Known(text.parse().unwrap());
        let held = Holding {
            status: Attribute::Known(HoldingStatus::Active),
            accepted_at: at("2017-01-02T03:04:05.000000006Z"),
            term_end: Attribute::Invalid,
            covered_by: Attribute::Known("c \"2\""),
            unit_count: Attribute::Known(3),
        };
        let customer = Customer {
            id: "Zoë \\ 1",
            relationship: Attribute::Known(Relationship::New),
            country: Attribute::Invalid,
            segment: Attribute::Known("no such\n"),
            us_person: Attribute::Known(false),
            date_of_birth: Attribute::Known("1999-02-28".parse().unwrap()),
            vulnerable: Attribute::Missing,
            holding: Attribute::Known(held),
            holdings: smallvec![("kis", Holding::default()), ("oss", Holding::NONE)],
            attributes: smallvec![
                ("balance", AttributeValue::Number(0.1 + 0.2)),
                ("line\n", AttributeValue::Text("a \"b\"")),
                ("list", AttributeValue::Invalid),
                ("vip", AttributeValue::Bool(true)),
            ],
        };
        let (channel, device) = (Attribute::Known("WEB"), Attribute::Missing);
        CheckRequest { customer, offer: "kis-12m", action: Action::Renew, channel, device }
    }

    fn line(request: &CheckRequest<'_>, ids: &CustomerIds) -> String {
        let at = "2017-12-05T12:00:00.5Z".parse().unwrap();
        let reason = Reason::plain(ReasonCode::NoRuleApplies);
        let told = Told {
            id: Uuid::nil(),
            caller: Some("web"),
            request,
            decision: &Decision::because(reason, Revision(3), at),
            valid_until: at,
            now: at,
            wall: at,
            limit: Duration::from_secs(5),
            stale: false,
            token: "t",
            proof_age: None,
        };
        let mut out = b"{\"seq\":1,".to_vec();
        told.write(ids, &mut out);
        out.extend_from_slice(b",\"chain\":\"\"}");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_asked_reads_back_as_it_was_decided() {
        let request = request();
        let line = line(&request, &CustomerIds::Plain);
        let read = Recorded::read(&line).unwrap();
        let again = read.request().unwrap();
        let CheckRequest { ref customer, offer, action, channel, device } = request;
        let customer = customer.shorter();
        assert_eq!(again, CheckRequest { customer, offer, action, channel, device });
        assert_eq!((read.caller.as_deref(), read.revision), (Some("web"), 3));
        assert!(!line.contains('\n'));
    }

    #[test]
    fn keyed_names_take_the_place_of_every_customers_id() {
        let key = CustomerKey::new(2, &[7; 32]);
        let line = line(&request(), &CustomerIds::Keyed(Box::new(key.clone())));
        assert!(!line.contains("Zo") && !line.contains("c \\\"2"), "{line}");
        let read = Recorded::read(&line).unwrap();
        assert_eq!(read.request.customer.id, key.name("Zoë \\ 1"));
        let holding = read.request().unwrap().customer.holding.known().unwrap();
        assert_eq!(holding.covered_by.known(), Some(key.name("c \"2\"").as_str()));
    }

    #[test]
    fn a_line_with_anything_unknown_or_missing_is_no_record_and_is_not_repeated() {
        let good = line(&request(), &CustomerIds::Plain);
        for (from, to) in [
            ("\"seq\":1", "\"seq\":\"c-1\""),
            ("\"caller\"", "\"c-1\""),
            ("\"outcome\":\"ELIGIBLE\",", ""),
            ("\"vip\":true", "\"vip\":[\"c-1\"]"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = Recorded::read(&bad).unwrap_err();
            assert!(!error.to_string().contains("c-1"), "{error}");
        }
        let bad = good.replacen("RENEW", "BUY", 1);
        assert_eq!(Recorded::read(&bad).unwrap().request(), Err(Unusable::Value("action")));
    }
}
