//! A rule set, and a change of one, as a document.
//!
//! A change is stored in the language that rules are written in, so that an auditor reads a record
//! as one reads a rule file: a list of steps, in order, each `{"put": {"vendors": {"id": {...}}}}`,
//! `{"remove": {"vendors": "id"}}` or `{"set": {"vocabularies": {...}}}`.
//!
//! Invariant: what is written reads back as the same value. Whether it makes sense together with
//! the other rules is asked elsewhere: a record of what was once done must always read.

use super::catalogue::{
    Written, read_advisory, read_offer, read_product, read_vendor, write_advisory, write_offer,
    write_product, write_vendor,
};
use super::fields::Item;
use super::problem::{Problems, RuleErrors};
use super::restrictions::{read_exemption, read_suspension, write_exemption, write_suspension};
use super::tree::{self, Entry, Kind, Node};
use crate::domain::{
    AdvisoryId, Channel, Device, ExemptionId, InvalidId, OfferId, ProductId, RuleChange, RuleEdit,
    RuleSet, Segment, SuspensionId, VendorId, Vocabularies,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

/// The sections of a rule file, in the order in which they are written.
pub(super) const SECTIONS: [&str; 7] =
    ["vocabularies", "vendors", "products", "offers", "advisories", "suspensions", "exemptions"];

/// Reads the sections of a rule file. What did not read is missing from the result, and noted.
pub(super) fn read_rule_set(item: &Item<'_>) -> RuleSet {
    let Some(fields) = item.fields(&SECTIONS) else { return RuleSet::default() };
    RuleSet {
        vocabularies: fields
            .get("vocabularies")
            .filter(is_stated)
            .and_then(|item| read_vocabularies(&item))
            .unwrap_or_default(),
        vendors: section(fields.get("vendors"), VendorId::parse, read_vendor),
        products: section(fields.get("products"), ProductId::parse, read_product),
        offers: section(fields.get("offers"), OfferId::parse, read_offer),
        advisories: section(fields.get("advisories"), AdvisoryId::parse, read_advisory),
        suspensions: section(fields.get("suspensions"), SuspensionId::parse, read_suspension),
        exemptions: section(fields.get("exemptions"), ExemptionId::parse, read_exemption),
    }
}

/// Reads the entries of one section, by id.
fn section<'n, I: Ord, T>(
    item: Option<Item<'n>>,
    parse: fn(&str) -> Result<I, InvalidId>,
    read: fn(&I, &Item<'n>) -> Option<T>,
) -> BTreeMap<I, Arc<T>> {
    let entries =
        item.filter(is_stated).map(|item| item.entries("entries by id")).unwrap_or_default();
    let read_entry = |(id, item): (&str, Item<'n>)| match parse(id) {
        Ok(id) => {
            let value = read(&id, &item)?;
            Some((id, Arc::new(value)))
        }
        Err(error) => {
            let message = format!("{} is not allowed: {error}", tree::quoted(id));
            item.problems.add(item.path.clone(), item.key_place, message)
        }
    };
    entries.into_iter().filter_map(read_entry).collect()
}

/// Whether anything stands below a section's name. People leave one empty, with all in it commented out.
fn is_stated(section: &Item<'_>) -> bool {
    section.node.kind != Kind::Null
}

fn read_vocabularies(item: &Item<'_>) -> Option<Vocabularies> {
    fn terms<T>(
        item: Option<Item<'_>>,
        default: Vec<T>,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Vec<T> {
        item.map_or(default, |item| {
            item.filled_list("terms", "leave it out for the default terms", |term| {
                term.parsed(parse)
            })
        })
    }
    let fields = item.fields(&["segments", "devices", "channels"])?;
    let default = Vocabularies::default();
    Some(Vocabularies {
        segments: terms(fields.get("segments"), default.segments, Segment::parse),
        devices: terms(fields.get("devices"), default.devices, Device::parse),
        channels: terms(fields.get("channels"), default.channels, Channel::parse),
    })
}

/// Writes a rule set; sections without entries are left out.
pub(super) fn write_rule_set(rules: &RuleSet) -> Node {
    fn section<I: Display, T>(things: &BTreeMap<I, Arc<T>>, write: fn(&T) -> Node) -> Option<Node> {
        let entry = |(id, thing): (&I, &Arc<T>)| Entry {
            key: id.to_string(),
            key_place: None,
            value: write(thing),
        };
        (!things.is_empty()).then(|| Kind::Map(things.iter().map(entry).collect()).into())
    }
    let changed = rules.vocabularies != Vocabularies::default();
    Written::default()
        .put("vocabularies", changed.then(|| write_vocabularies(&rules.vocabularies)))
        .put("vendors", section(&rules.vendors, write_vendor))
        .put("products", section(&rules.products, write_product))
        .put("offers", section(&rules.offers, write_offer))
        .put("advisories", section(&rules.advisories, write_advisory))
        .put("suspensions", section(&rules.suspensions, write_suspension))
        .put("exemptions", section(&rules.exemptions, write_exemption))
        .map()
}

/// Writes the lists that differ from the default ones.
fn write_vocabularies(terms: &Vocabularies) -> Node {
    let Node { kind: Kind::Map(mut lists), place } = write_all_vocabularies(terms) else {
        return Written::default().map();
    };
    let default = write_all_vocabularies(&Vocabularies::default());
    lists.retain(|list| default.get(&list.key).is_none_or(|same| same.value != list.value));
    Node { kind: Kind::Map(lists), place }
}

/// Writes all the lists.
pub(super) fn write_all_vocabularies(terms: &Vocabularies) -> Node {
    Written::default()
        .list("segments", &terms.segments, Node::text)
        .list("devices", &terms.devices, Node::text)
        .list("channels", &terms.channels, Node::text)
        .map()
}

/// The stored form of a change.
#[must_use]
pub fn change_to_json(change: &RuleChange) -> Value {
    Value::Array(change.edits.iter().map(|edit| write_edit(edit).to_json()).collect())
}

/// Reads the stored form of a change.
///
/// # Errors
/// When it is not what [`change_to_json`] writes. The problems carry paths and no places.
pub fn change_from_json(stored: &Value) -> Result<RuleChange, RuleErrors> {
    let problems = Problems::default();
    let node = Node::from_json(stored);
    let edits = Item::root(&node, &problems).list("steps", read_edit);
    if problems.is_empty() {
        Ok(RuleChange { edits })
    } else {
        Err(RuleErrors::new("", problems.sorted()))
    }
}

/// One thing, under its section and id.
fn write_edit(edit: &RuleEdit) -> Node {
    let (section, id) = edit.subject();
    let put = |value: Node| {
        let things = Written::default().put(id, Some(value)).map();
        Written::default().put("put", Some(Written::default().put(section, Some(things)).map()))
    };
    let remove =
        || Written::default().put("remove", Some(Written::default().text(section, id).map()));
    match edit {
        RuleEdit::SetVocabularies(terms) => {
            let terms = Written::default().put(section, Some(write_vocabularies(terms))).map();
            Written::default().put("set", Some(terms))
        }
        RuleEdit::PutVendor(vendor) => put(write_vendor(vendor)),
        RuleEdit::PutProduct(product) => put(write_product(product)),
        RuleEdit::PutOffer(offer) => put(write_offer(offer)),
        RuleEdit::PutAdvisory(advisory) => put(write_advisory(advisory)),
        RuleEdit::PutSuspension(suspension) => put(write_suspension(suspension)),
        RuleEdit::PutExemption(exemption) => put(write_exemption(exemption)),
        RuleEdit::RemoveVendor(_)
        | RuleEdit::RemoveProduct(_)
        | RuleEdit::RemoveOffer(_)
        | RuleEdit::RemoveAdvisory(_)
        | RuleEdit::RemoveExemption(_) => remove(),
    }
    .map()
}

fn read_edit(item: &Item<'_>) -> Option<RuleEdit> {
    let fields = item.fields(&["put", "remove", "set"])?;
    match (fields.get("put"), fields.get("remove"), fields.get("set")) {
        (Some(put), None, None) => read_put(&put),
        (None, Some(remove), None) => read_remove(&remove),
        (None, None, Some(set)) => {
            let terms = set.fields(&["vocabularies"])?.required("vocabularies")?;
            Some(RuleEdit::SetVocabularies(read_vocabularies(&terms)?))
        }
        _ => item.refuse("must be one of `put`, `remove` and `set`"),
    }
}

fn read_put(item: &Item<'_>) -> Option<RuleEdit> {
    fn thing<'n, I, T>(
        item: &Item<'n>,
        parse: fn(&str) -> Result<I, InvalidId>,
        read: fn(&I, &Item<'n>) -> Option<T>,
    ) -> Option<Arc<T>> {
        match item.entries("one entry by id").as_slice() {
            [(id, entry)] => match parse(id) {
                Ok(id) => read(&id, entry).map(Arc::new),
                Err(error) => entry.refuse(error.to_string()),
            },
            _ => item.refuse("must have one entry"),
        }
    }
    item.fields(&SECTIONS)?;
    match item.entries("one section").as_slice() {
        [("vendors", item)] => thing(item, VendorId::parse, read_vendor).map(RuleEdit::PutVendor),
        [("products", item)] => {
            thing(item, ProductId::parse, read_product).map(RuleEdit::PutProduct)
        }
        [("offers", item)] => thing(item, OfferId::parse, read_offer).map(RuleEdit::PutOffer),
        [("advisories", item)] => {
            thing(item, AdvisoryId::parse, read_advisory).map(RuleEdit::PutAdvisory)
        }
        [("suspensions", item)] => {
            thing(item, SuspensionId::parse, read_suspension).map(RuleEdit::PutSuspension)
        }
        [("exemptions", item)] => {
            thing(item, ExemptionId::parse, read_exemption).map(RuleEdit::PutExemption)
        }
        _ => item.refuse("must have one section"),
    }
}

fn read_remove(item: &Item<'_>) -> Option<RuleEdit> {
    item.fields(&["vendors", "products", "offers", "advisories", "exemptions"])?;
    match item.entries("one section").as_slice() {
        [("vendors", id)] => id.parsed(VendorId::parse).map(RuleEdit::RemoveVendor),
        [("products", id)] => id.parsed(ProductId::parse).map(RuleEdit::RemoveProduct),
        [("offers", id)] => id.parsed(OfferId::parse).map(RuleEdit::RemoveOffer),
        [("advisories", id)] => id.parsed(AdvisoryId::parse).map(RuleEdit::RemoveAdvisory),
        [("exemptions", id)] => id.parsed(ExemptionId::parse).map(RuleEdit::RemoveExemption),
        _ => item.refuse("must have one section"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::domain::{Offer, Unit, Vendor, Window};
    use serde_json::json;

    fn vendor() -> Arc<Vendor> {
        Arc::new(Vendor {
            id: VendorId::parse("acme").unwrap(),
            name: "Acme".to_owned(),
            country: None,
            aliases: Vec::new(),
            former_names: Vec::new(),
            parents: Vec::new(),
        })
    }

    #[test]
    fn a_change_reads_back_step_by_step_in_its_order() {
        let offer = Offer {
            id: OfferId::parse("acme-12m").unwrap(),
            product: ProductId::parse("shield").unwrap(),
            title: Some("12".to_owned()),
            unit: Unit::Household,
            max_per_unit: Some(3),
            requires: vec!["online_banking".into()],
            countries: Vec::new(),
            min_age: Some(16),
            max_age: None,
            window: Window { from: Some("2026-01-01T00:00:00Z".parse().unwrap()), until: None },
            outbound_excludes_vulnerable: true,
            alternates: Vec::new(),
            condition: None,
        };
        let change = RuleChange {
            edits: vec![
                RuleEdit::RemoveOffer(OfferId::parse("old").unwrap()),
                RuleEdit::PutVendor(vendor()),
                RuleEdit::SetVocabularies(Vocabularies::default()),
                RuleEdit::PutOffer(Arc::new(offer)),
                RuleEdit::RemoveVendor(VendorId::parse("gone").unwrap()),
            ],
        };
        let stored = change_to_json(&change);
        assert_eq!(stored[0], json!({"remove": {"offers": "old"}}));
        assert_eq!(stored[1], json!({"put": {"vendors": {"acme": {"name": "Acme"}}}}));
        assert_eq!(change_from_json(&stored).unwrap(), change);
    }

    #[test]
    fn what_is_no_stored_change_is_refused_with_the_path_of_what_is_wrong() {
        for (stored, problem) in [
            (json!({}), "is a map, and must be a list of steps"),
            (json!([{"put": {"vendors": {}}}]), "[0].put.vendors: must have one entry"),
            (json!([{"put": {"vendors": {"a": {"nme": 1}}}}]), "[0].put.vendors.a.name: "),
            (json!([{"remove": {"suspensions": "a"}}]), "[0].remove.suspensions: unknown key"),
            (json!([{}]), "[0]: must be one of"),
        ] {
            let told = change_from_json(&stored).unwrap_err().to_string();
            assert!(told.contains(problem), "{told}");
        }
    }
}
