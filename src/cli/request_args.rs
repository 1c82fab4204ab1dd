//! Flags for every field of a check request, shared by `check` and `explain`.

use super::exit::{Exit, Failure};
use super::request_file::{
    ConsistencyDocument, CustomerDocument, HoldingDocument, RequestDocument, say,
};
use super::scope_args::one_of;
use crate::domain::{Action, HoldingStatus, Relationship};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::mem::replace;
use std::path::{Path, PathBuf};

/// Largest request file: far above what a request can hold, far below what hurts.
const MOST_BYTES: u64 = 1 << 20;

/// Who asks for what. What is not said about the customer is missing, never assumed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RequestArgs {
    /// Read the whole request as JSON from a file, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    request: Option<PathBuf>,

    #[command(flatten)]
    fields: Fields,
}

#[derive(Debug, Clone, clap::Args)]
#[group(id = "fields", multiple = true)]
struct Fields {
    /// The bank's id of the customer; needed, as the offer and the action are, without --request
    #[arg(long, value_name = "ID")]
    customer: Option<String>,

    /// The offer
    #[arg(long, value_name = "ID")]
    offer: Option<String>,

    /// What is about to happen
    #[arg(long, value_parser = one_of(Action::ALL, Action::name))]
    action: Option<Action>,

    /// Where the customer is met, such as EMAIL
    #[arg(long)]
    channel: Option<String>,

    /// On what the product would run, such as MOBILE
    #[arg(long)]
    device: Option<String>,

    /// New or existing customer of the bank
    #[arg(long, value_parser = one_of(Relationship::ALL, Relationship::name))]
    relationship: Option<Relationship>,

    /// Country of residence, such as GB
    #[arg(long, value_name = "CODE")]
    country: Option<String>,

    /// Customer segment, such as RETAIL
    #[arg(long)]
    segment: Option<String>,

    /// Whether US law follows this person everywhere
    #[arg(long, value_name = "BOOL")]
    us_person: Option<bool>,

    /// Born on, as YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    date_of_birth: Option<String>,

    /// Whether the bank treats this customer as vulnerable
    #[arg(long, value_name = "BOOL")]
    vulnerable: Option<bool>,

    /// Where the holding of the offer's product stands
    #[arg(long, value_name = "STATUS", value_parser = one_of(HoldingStatus::ALL, HoldingStatus::name))]
    holding: Option<HoldingStatus>,

    /// When the offer was accepted
    #[arg(long, value_name = "INSTANT", requires = "holding")]
    accepted_at: Option<String>,

    /// First instant after the term; without it the term is open
    #[arg(long, value_name = "INSTANT", requires = "holding")]
    term_end: Option<String>,

    /// The unit's holder through whom this person is covered
    #[arg(long, value_name = "ID", requires = "holding")]
    covered_by: Option<String>,

    /// How many this unit holds already
    #[arg(long, value_name = "N", requires = "holding")]
    unit_count: Option<u32>,

    /// One of the bank's own attributes: true, false, a number or a text ("x" for a text x)
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, Value)>,

    /// A holding of another product, for alternates: kis=ACTIVE or kis=ACTIVE,term_end=INSTANT
    #[arg(long = "holding-of", value_name = "PRODUCT=STATUS", value_parser = holding_of)]
    holdings: Vec<(String, HoldingDocument)>,

    /// Answer from rules at least as new as an earlier answer's or write's token
    #[arg(long, visible_alias = "token", value_name = "TOKEN", conflicts_with = "strict")]
    at_least_token: Option<String>,

    /// Answer from rules as new as the store
    #[arg(long)]
    strict: bool,
}

impl RequestArgs {
    /// The request, from the file or from the flags.
    pub(super) fn document(&self) -> Result<RequestDocument, Failure> {
        match &self.request {
            Some(path) => read_document(path),
            None => self.fields.document(),
        }
    }
}

impl Fields {
    fn document(&self) -> Result<RequestDocument, Failure> {
        let needed = [
            ("--customer", self.customer.is_none()),
            ("--offer", self.offer.is_none()),
            ("--action", self.action.is_none()),
        ];
        let missing: Vec<_> = needed
            .into_iter()
            .filter_map(|(flag, is_not_there)| is_not_there.then_some(flag))
            .collect();
        if !missing.is_empty() {
            return Err(Failure::usage(format_args!("{} must be given", missing.join(", ")))
                .help("or --request FILE, with the whole request"));
        }
        let holding = self.holding.map(|status| HoldingDocument {
            status: Some(status.name().to_owned()),
            accepted_at: self.accepted_at.clone(),
            term_end: self.term_end.clone(),
            covered_by: self.covered_by.clone(),
            unit_count: self.unit_count,
        });
        let customer = CustomerDocument {
            id: self.customer.clone().unwrap_or_default(),
            relationship: self.relationship.map(|relationship| relationship.name().to_owned()),
            country: self.country.clone(),
            segment: self.segment.clone(),
            us_person: self.us_person,
            date_of_birth: self.date_of_birth.clone(),
            vulnerable: self.vulnerable,
            holding,
            attributes: each_flag_once("--attribute", &self.attributes)?,
            holdings: each_flag_once("--holding-of", &self.holdings)?,
        };
        Ok(RequestDocument {
            customer,
            offer: self.offer.clone().unwrap_or_default(),
            action: self.action.map(|action| action.name().to_owned()).unwrap_or_default(),
            channel: self.channel.clone(),
            device: self.device.clone(),
            consistency: match (&self.at_least_token, self.strict) {
                (Some(token), _) => Some(ConsistencyDocument::AtLeastToken(token.clone())),
                (None, true) => Some(ConsistencyDocument::Strict),
                (None, false) => None,
            },
        })
    }
}

/// What a flag said by name, each name once.
fn each_flag_once<V: Clone>(
    flag: &str,
    said: &[(String, V)],
) -> Result<BTreeMap<String, V>, Failure> {
    let mut all = BTreeMap::new();
    for (name, value) in said {
        say(&mut all, name.clone(), value.clone())
            .map_err(|twice| Failure::usage(format_args!("{flag}: {twice}")).help("say it once"))?;
    }
    Ok(all)
}

fn read_document(path: &Path) -> Result<RequestDocument, Failure> {
    let text = read_text(path, MOST_BYTES)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format_args!("`{}` is no check request", path.display()))
            .because(error)
            .help("`offergate check --help` lists the fields; the file spells them with `_`")
    })
}

/// Reads a whole file, or standard input for `-`, up to a limit.
pub(super) fn read_text(path: &Path, most_bytes: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most_bytes + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(most_bytes + 1).read_to_string(&mut text))
    };
    let name = path.display();
    let bytes = read.map_err(|error| {
        Failure::new(Exit::of_cause(&error), format_args!("`{name}` cannot be read")).because(error)
    })?;
    if most_bytes < bytes as u64 {
        return Err(Failure::usage(format_args!("`{name}` is larger than {most_bytes} bytes")));
    }
    Ok(text)
}

fn attribute(text: &str) -> Result<(String, Value), String> {
    let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err("write NAME=VALUE".to_owned());
    };
    // What reads as JSON is that value; anything else is a text.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

fn holding_of(text: &str) -> Result<(String, HoldingDocument), String> {
    const FORM: &str = "write PRODUCT=STATUS, then any of ,accepted_at= ,term_end= ,covered_by= \
                        ,unit_count=";
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    let (product, status) = first.split_once('=').ok_or(FORM)?;
    let status = HoldingStatus::from_name(status).ok_or_else(|| {
        let names: Vec<_> = HoldingStatus::ALL.map(HoldingStatus::name).into();
        format!("`{status}` is not one of {}", names.join(", "))
    })?;
    let mut holding =
        HoldingDocument { status: Some(status.name().to_owned()), ..HoldingDocument::default() };
    for part in parts {
        let (name, value) = part.split_once('=').ok_or(FORM)?;
        let value_text = Some(value.to_owned());
        let was_said = match name {
            "accepted_at" => replace(&mut holding.accepted_at, value_text).is_some(),
            "term_end" => replace(&mut holding.term_end, value_text).is_some(),
            "covered_by" => replace(&mut holding.covered_by, value_text).is_some(),
            "unit_count" => {
                let count = value.parse().map_err(|_| format!("`{value}` is no count"))?;
                holding.unit_count.replace(count).is_some()
            }
            _ => return Err(FORM.to_owned()),
        };
        if was_said {
            return Err(format!("`{name}` is said twice"));
        }
    }
    Ok((product.to_owned(), holding))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        request: RequestArgs,
    }

    fn parse(line: &str) -> Result<RequestDocument, String> {
        let line = Line::try_parse_from(std::iter::once("x").chain(line.split(' ')));
        line.map_err(|error| error.to_string())?
            .request
            .document()
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn every_flag_ends_up_in_its_field_of_the_request() {
        let document = parse(
            "--customer c-1 --offer kis-12m --action RENEW --channel WEB --device MOBILE \
             --relationship NEW --country UK --segment RETAIL --us-person false \
             --date-of-birth 1990-02-29 --vulnerable true --holding ACTIVE \
             --accepted-at 2017-01-01T00:00:00Z --term-end 2018-06-30T23:00:00Z \
             --covered-by c-2 --unit-count 3 --attribute online_banking=true \
             --attribute score=7.5 --attribute tier=gold --attribute code=\"7\" \
             --holding-of avp=LAPSED,unit_count=2 --strict",
        )
        .unwrap();
        let expected = serde_json::json!({
            "customer": {
                "id": "c-1", "relationship": "NEW", "country": "UK", "segment": "RETAIL",
                "us_person": false, "date_of_birth": "1990-02-29", "vulnerable": true,
                "holding": {
                    "status": "ACTIVE", "accepted_at": "2017-01-01T00:00:00Z",
                    "term_end": "2018-06-30T23:00:00Z", "covered_by": "c-2", "unit_count": 3,
                },
                "attributes": {"online_banking": true, "score": 7.5, "tier": "gold", "code": "7"},
                "holdings": {"avp": {"status": "LAPSED", "unit_count": 2}},
            },
            "offer": "kis-12m", "action": "RENEW", "channel": "WEB", "device": "MOBILE",
            "consistency": "strict",
        });
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
    }

    #[test]
    fn what_is_not_said_stays_unsaid() {
        let document = parse("--customer c-1 --offer kis-12m --action OFFER").unwrap();
        let expected = serde_json::json!({
            "customer": {"id": "c-1"}, "offer": "kis-12m", "action": "OFFER",
        });
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
    }

    #[test]
    fn half_a_request_is_refused() {
        for refused in [
            "",
            "--customer c-1",
            "--customer c-1 --offer kis-12m",
            "--offer kis-12m --action OFFER",
            "--customer c-1 --offer kis-12m --action BUY",
            "--customer c-1 --offer kis-12m --action OFFER --term-end 2018-06-30T23:00:00Z",
            "--customer c-1 --offer kis-12m --action OFFER --attribute x",
            "--customer c-1 --offer kis-12m --action OFFER --holding-of kis",
            "--customer c-1 --offer kis-12m --action OFFER --holding-of kis=HELD",
            "--customer c-1 --offer kis-12m --action OFFER --request -",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_misspelt_field_of_a_request_file_is_refused() {
        let text = r#"{"customer": {"id": "c-1", "contry": "GB"}, "offer": "o", "action": "USE"}"#;
        assert!(serde_json::from_str::<RequestDocument>(text).is_err());
    }

    /// The later of two must not quietly win: what it says could make somebody eligible.
    #[test]
    fn what_is_said_twice_is_refused() {
        let asked = "--customer c-1 --offer kis-12m --action OFFER";
        for (twice, what) in [
            ("--attribute paperless=false --attribute paperless=true", "`paperless`"),
            ("--attribute paperless=true --attribute paperless=true", "`paperless`"),
            ("--holding-of avp=ACTIVE --holding-of avp=NONE", "`avp`"),
            ("--holding-of avp=ACTIVE,covered_by=a,covered_by=b", "`covered_by`"),
            ("--holding-of avp=ACTIVE,unit_count=2,unit_count=1", "`unit_count`"),
        ] {
            let refused = parse(&format!("{asked} {twice}")).unwrap_err();
            assert!(refused.contains(&format!("{what} is said twice")), "{twice}: {refused}");
        }
        for (customer, what) in [
            (r#""attributes": {"paperless": false, "paperless": true}"#, "`paperless`"),
            (r#""holdings": {"avp": {"status": "ACTIVE"}, "avp": {}}"#, "`avp`"),
        ] {
            let text = format!(
                r#"{{"customer": {{"id": "c-1", {customer}}}, "offer": "o", "action": "USE"}}"#
            );
            let refused = serde_json::from_str::<RequestDocument>(&text).unwrap_err().to_string();
            assert!(refused.contains(&format!("{what} is said twice")), "{customer}: {refused}");
        }
    }
}
