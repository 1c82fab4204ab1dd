//! Suspensions, exemptions and their scopes as a rule file writes them.
//!
//! For each noun the keys, a reader and a writer, side by side: what the one writes the other reads
//! back as the same value.
//!
//! Invariant: an empty dimension is refused and never read as "everybody", and neither is a target
//! that names nothing.

use super::catalogue::{Written, country};
use super::fields::{Fields, Item};
use super::tree::{Entry, Kind, Node};
use crate::domain::{
    Action, AdvisoryId, Channel, ComponentReach, CustomerId, CustomerMessage, Device, Exemption,
    ExemptionId, Grandfather, Holder, OfferId, PersonNexus, ProductClass, ProductId, Reach,
    Relationship, Scope, Segment, Suspension, SuspensionId, Target, VendorId,
};
use std::fmt::Display;
use thin_vec::ThinVec;

const SUSPENSION: [&str; 22] = [
    "target",
    "reach",
    "components",
    "actions",
    "countries",
    "person_nexus",
    "segments",
    "holders",
    "relationships",
    "devices",
    "channels",
    "product_classes",
    "customers",
    "from",
    "until",
    "lifted_at",
    "grandfather",
    "review_by",
    "advisories",
    "ticket",
    "reason",
    "customer_message",
];
const EXEMPTION: [&str; 15] = [
    "waives",
    "actions",
    "countries",
    "person_nexus",
    "segments",
    "holders",
    "relationships",
    "devices",
    "channels",
    "product_classes",
    "customers",
    "from",
    "until",
    "ticket",
    "reason",
];
const TARGET: [&str; 3] = ["vendor", "product", "offer"];

/// Says what to do instead of an empty dimension.
const LEAVE_OUT: &str = "leave it out to match everybody";

pub(super) fn read_suspension(id: &SuspensionId, item: &Item<'_>) -> Option<Suspension> {
    let fields = item.fields(&SUSPENSION)?;
    let target = fields.required("target").and_then(|item| read_target(&item));
    let reach = fields.get("reach").and_then(|item| item.one_of(&Reach::ALL, Reach::name));
    let components = fields
        .get("components")
        .and_then(|item| item.one_of(&ComponentReach::ALL, ComponentReach::name));
    fields.required("actions");
    let from = fields.required("from").and_then(|item| item.instant());
    let (ticket, reason) = (fields.required_text("ticket"), fields.required_text("reason"));
    Some(Suspension {
        id: id.clone(),
        reach: reach.unwrap_or_default(),
        components: components.unwrap_or_default(),
        scope: read_scope(&fields),
        until: fields.maybe_instant("until"),
        lifted_at: fields.maybe_instant("lifted_at"),
        grandfather: fields.get("grandfather").as_ref().and_then(read_grandfather).map(Box::new),
        review_by: fields.get("review_by").and_then(|item| item.day()),
        advisories: fields
            .get("advisories")
            .map(|item| item.list("advisory ids", |id| id.parsed(AdvisoryId::parse)))
            .unwrap_or_default(),
        customer_message: fields.get("customer_message").as_ref().and_then(read_message),
        target: target?,
        from: from?,
        ticket: ticket?,
        reason: reason?,
    })
}

/// Reads a target, which names one thing: there is no suspension of everything.
fn read_target(item: &Item<'_>) -> Option<Target> {
    let one = "name one `vendor`, `product` or `offer`; there is no suspension of everything";
    if !matches!(item.node.kind, Kind::Map(_)) {
        return item.refuse(format!("is {}; {one}", item.node.describe()));
    }
    let fields = item.fields(&TARGET)?;
    match (fields.get("vendor"), fields.get("product"), fields.get("offer")) {
        (Some(id), None, None) => id.parsed(VendorId::parse).map(Target::Vendor),
        (None, Some(id), None) => id.parsed(ProductId::parse).map(Target::Product),
        (None, None, Some(id)) => id.parsed(OfferId::parse).map(Target::Offer),
        (None, None, None) => item.refuse(format!("names nothing; {one}")),
        _ => item.refuse(format!("names more than one thing; {one}")),
    }
}

fn read_grandfather(item: &Item<'_>) -> Option<Grandfather> {
    let fields = item.fields(&["accepted_before", "until"])?;
    let accepted_before = fields.required("accepted_before").and_then(|item| item.instant());
    let until = fields.required("until").and_then(|item| item.instant());
    Some(Grandfather { accepted_before: accepted_before?, until: until? })
}

fn read_message(item: &Item<'_>) -> Option<CustomerMessage> {
    if !matches!(item.node.kind, Kind::Map(_)) {
        return Some(CustomerMessage::Text(item.text()?.to_owned()));
    }
    let texts = item.entries("texts by language tag");
    let read = |(tag, item): &(&str, Item<'_>)| {
        item.text().map(|text| ((*tag).to_owned(), text.to_owned()))
    };
    Some(CustomerMessage::ByLanguage(texts.iter().filter_map(read).collect()))
}

fn read_scope(fields: &Fields<'_>) -> Scope {
    fn named<T: Copy>(
        fields: &Fields<'_>,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> ThinVec<T> {
        dimension(fields, key, |item| item.one_of(all, name))
    }
    fn parsed<T, E: Display>(
        fields: &Fields<'_>,
        key: &str,
        parse: fn(&str) -> Result<T, E>,
    ) -> ThinVec<T> {
        dimension(fields, key, |item| item.parsed(parse))
    }
    Scope {
        actions: named(fields, "actions", &Action::ALL, Action::name),
        countries: dimension(fields, "countries", country),
        person_nexus: named(fields, "person_nexus", &PersonNexus::ALL, PersonNexus::name),
        segments: parsed(fields, "segments", Segment::parse),
        holders: named(fields, "holders", &Holder::ALL, Holder::name),
        relationships: named(fields, "relationships", &Relationship::ALL, Relationship::name),
        devices: parsed(fields, "devices", Device::parse),
        channels: parsed(fields, "channels", Channel::parse),
        product_classes: parsed(fields, "product_classes", ProductClass::parse),
        customers: parsed(fields, "customers", CustomerId::parse),
    }
}

/// The terms of one dimension: none if it is not stated, else at least one.
fn dimension<T>(
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&Item<'_>) -> Option<T>,
) -> ThinVec<T> {
    let empty = if key == "actions" { "name at least one action" } else { LEAVE_OUT };
    fields.get(key).map(|item| item.filled_list(key, empty, read)).unwrap_or_default()
}

pub(super) fn read_exemption(id: &ExemptionId, item: &Item<'_>) -> Option<Exemption> {
    let fields = item.fields(&EXEMPTION)?;
    let waives = fields.required("waives").map(|item| {
        item.filled_list("suspension ids", "name what it waives", |id| {
            id.parsed(SuspensionId::parse)
        })
    });
    let from = fields.required("from").and_then(|item| item.instant());
    let until = fields.required("until").and_then(|item| item.instant());
    let (ticket, reason) = (fields.required_text("ticket"), fields.required_text("reason"));
    let scope = read_scope(&fields);
    Some(Exemption {
        id: id.clone(),
        waives: waives?,
        scope,
        from: from?,
        until: until?,
        ticket: ticket?,
        reason: reason?,
    })
}

impl Written {
    /// Adds the dimensions that a scope states.
    fn scope(self, scope: &Scope) -> Self {
        self.list("actions", &scope.actions, |action| Node::text(action.name()))
            .list("countries", &scope.countries, Node::text)
            .list("person_nexus", &scope.person_nexus, |nexus| Node::text(nexus.name()))
            .list("segments", &scope.segments, Node::text)
            .list("holders", &scope.holders, |holder| Node::text(holder.name()))
            .list("relationships", &scope.relationships, |kind| Node::text(kind.name()))
            .list("devices", &scope.devices, Node::text)
            .list("channels", &scope.channels, Node::text)
            .list("product_classes", &scope.product_classes, Node::text)
            .list("customers", &scope.customers, |customer| Node::text(customer.as_str()))
    }
}

pub(super) fn write_suspension(suspension: &Suspension) -> Node {
    let Suspension { reach, components, .. } = suspension;
    let grandfather = suspension.grandfather.as_deref().map(|clause| {
        Written::default()
            .text("accepted_before", clause.accepted_before)
            .text("until", clause.until)
            .map()
    });
    let message = suspension.customer_message.as_ref().map(|message| match message {
        CustomerMessage::Text(text) => Node::text(text),
        CustomerMessage::ByLanguage(texts) => {
            let entry = |(tag, text): (&String, &String)| Entry {
                key: tag.clone(),
                key_place: None,
                value: Node::text(text),
            };
            Kind::Map(texts.iter().map(entry).collect()).into()
        }
    });
    Written::default()
        .put(
            "target",
            Some(Written::default().text(suspension.target.kind(), suspension.target.id()).map()),
        )
        .maybe("reach", (*reach != Reach::default()).then(|| reach.name()))
        .maybe("components", (*components != ComponentReach::default()).then(|| components.name()))
        .scope(&suspension.scope)
        .text("from", suspension.from)
        .maybe("until", suspension.until)
        .maybe("lifted_at", suspension.lifted_at)
        .put("grandfather", grandfather)
        .maybe("review_by", suspension.review_by)
        .list("advisories", &suspension.advisories, Node::text)
        .text("ticket", &suspension.ticket)
        .text("reason", &suspension.reason)
        .put("customer_message", message)
        .map()
}

pub(super) fn write_exemption(exemption: &Exemption) -> Node {
    Written::default()
        .list("waives", &exemption.waives, Node::text)
        .scope(&exemption.scope)
        .text("from", exemption.from)
        .text("until", exemption.until)
        .text("ticket", &exemption.ticket)
        .text("reason", &exemption.reason)
        .map()
}
