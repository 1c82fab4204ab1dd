//! Random rule sets that are valid: every reference holds, every window has an inside.
//!
//! The texts in them are chosen to be hard on a writer of YAML.

use offergate::domain::{
    Action, Advisory, AdvisoryId, AdvisoryStatus, Channel, Component, ComponentReach, Components,
    Country, CustomerId, CustomerMessage, Date, Device, Exemption, ExemptionId, Force, FormerName,
    Grandfather, Holder, Offer, OfferId, Parent, PersonNexus, Product, ProductClass, ProductId,
    Reach, Relationship, RuleSet, Scope, Segment, Suspension, SuspensionId, Target, Timestamp,
    Unit, Vendor, VendorId, Vocabularies, Window,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::sync::Arc;

/// How many of each noun there are at most; there is always the first.
const MOST: usize = 4;

const CLASSES: [&str; 3] = ["ANTIVIRUS", "VPN", "no"];

/// A rule set in which `rules::check` finds nothing.
pub(crate) fn rule_set() -> impl Strategy<Value = RuleSet> {
    let catalogue = (
        vocabularies(),
        vec(vendor_parts(), 1..=MOST),
        vec(product_parts(), 1..=MOST),
        vec(offer_parts(), 1..=MOST),
        vec(advisory_parts(), 1..=MOST),
    );
    catalogue.prop_flat_map(|(vocabularies, vendors, products, offers, advisories)| {
        let counts = [vendors.len(), products.len(), offers.len(), advisories.len()];
        let classes: Vec<_> = products.iter().map(|product| product.class.clone()).collect();
        let terms = vocabularies.clone();
        let suspensions = vec(suspension_parts(terms.clone(), classes.clone(), counts), 0..=MOST);
        (Just((vocabularies, vendors, products, offers, advisories)), suspensions).prop_flat_map(
            move |(catalogue, suspensions)| {
                let exemptions =
                    vec(exemption_parts(terms.clone(), classes.clone(), suspensions.len()), 0..=2);
                (Just(catalogue), Just(suspensions), exemptions).prop_map(assemble)
            },
        )
    })
}

type Catalogue = (Vocabularies, Vec<Vendor>, Vec<Product>, Vec<Offer>, Vec<Advisory>);

/// Numbers the nouns, and turns the references between them into ones that hold.
fn assemble(
    (catalogue, suspensions, exemptions): (Catalogue, Vec<Suspension>, Vec<Exemption>),
) -> RuleSet {
    let (vocabularies, vendors, products, offers, advisories) = catalogue;
    let counts = [vendors.len(), products.len(), offers.len()];
    let mut rules = RuleSet { vocabularies, ..RuleSet::default() };
    for (number, mut vendor) in vendors.into_iter().enumerate() {
        vendor.id = VendorId::parse(&format!("v{number}")).unwrap();
        // Owners have smaller numbers, so that there is no cycle at any instant.
        vendor.parents.retain(|parent| number_of(parent.vendor.as_str()) < number);
        rules.vendors.insert(vendor.id.clone(), Arc::new(vendor));
    }
    let within = |vendor: &VendorId| number_of(vendor.as_str()) < counts[0];
    for (number, mut product) in products.into_iter().enumerate() {
        product.id = ProductId::parse(&format!("p{number}")).unwrap();
        product.vendors.retain(within);
        if product.vendors.is_empty() {
            product.vendors.push(VendorId::parse("v0").unwrap());
        }
        if let Components::Known(components) = &mut product.components {
            components.retain(|component| within(&component.vendor));
        }
        rules.products.insert(product.id.clone(), Arc::new(product));
    }
    for (number, mut offer) in offers.into_iter().enumerate() {
        offer.id = OfferId::parse(&format!("o{number}")).unwrap();
        let product = number_of(offer.product.as_str()) % counts[1];
        offer.product = ProductId::parse(&format!("p{product}")).unwrap();
        offer.alternates.retain(|other| {
            number_of(other.as_str()) < counts[2] && number_of(other.as_str()) != number
        });
        rules.offers.insert(offer.id.clone(), Arc::new(offer));
    }
    for (number, mut advisory) in advisories.into_iter().enumerate() {
        advisory.id = AdvisoryId::parse(&format!("a{number}")).unwrap();
        rules.advisories.insert(advisory.id.clone(), Arc::new(advisory));
    }
    for (number, mut suspension) in suspensions.into_iter().enumerate() {
        suspension.id = SuspensionId::parse(&format!("s{number}")).unwrap();
        rules.suspensions.insert(suspension.id.clone(), Arc::new(suspension));
    }
    for (number, mut exemption) in exemptions.into_iter().enumerate() {
        if !exemption.waives.is_empty() {
            exemption.id = ExemptionId::parse(&format!("e{number}")).unwrap();
            rules.exemptions.insert(exemption.id.clone(), Arc::new(exemption));
        }
    }
    rules
}

fn number_of(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// Texts of one line that a careless writer would break.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "NO",
            "no",
            "true",
            "null",
            "~",
            "12",
            "0x1F",
            "1e3",
            ".5",
            "2017-12-01",
            "- a",
            "a: b",
            "a #b",
            "#b",
            "'",
            "\"",
            "\\",
            "\\n",
            "{a}",
            "[a]",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "<<",
            "---",
            "...",
            "? a",
            "Лаборатория",
            "Ζεύς",
            "a\u{301}",
            "\u{a0}x",
            "🛡",
            " padded ",
            "a,b",
            "a:b",
            "=",
            "-",
            "off",
            "Y",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,30}[!-~]",
    ]
}

/// Texts of several lines.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![line(), (line(), line()).prop_map(|(one, other)| format!("{one}\n{other}\n"))]
}

fn id(kind: char) -> impl Strategy<Value = String> {
    (0..MOST).prop_map(move |number| format!("{kind}{number}"))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (-60_000_000_000_i64..250_000_000_000)
            .prop_map(|second| Timestamp::from_second(second).unwrap()),
        (0_i64..4_000_000_000, 0_i32..1_000_000_000)
            .prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap()),
    ]
}

fn day() -> impl Strategy<Value = Date> {
    (1_i16..=9999, 1_i8..=12, 1_i8..=28)
        .prop_map(|(year, month, day)| Date::new(year, month, day).unwrap())
}

fn window() -> impl Strategy<Value = Window> {
    (option::of(instant()), option::of(instant())).prop_map(|(from, until)| match (from, until) {
        (Some(from), Some(until)) if until < from => {
            Window { from: Some(until), until: Some(from) }
        }
        (Some(from), Some(until)) if from == until => Window { from: Some(from), until: None },
        (from, until) => Window { from, until },
    })
}

fn country() -> impl Strategy<Value = Country> {
    select(Country::all().collect::<Vec<_>>())
}

fn vocabularies() -> impl Strategy<Value = Vocabularies> {
    any::<bool>().prop_map(|default| {
        let mut terms = Vocabularies::default();
        if !default {
            terms.segments = vec![Segment::parse("NO").unwrap(), Segment::parse("12").unwrap()];
            terms.channels.truncate(2);
        }
        terms
    })
}

fn vendor_parts() -> impl Strategy<Value = Vendor> {
    let former =
        (line(), option::of(instant())).prop_map(|(name, until)| FormerName { name, until });
    let parent = (id('v'), window())
        .prop_map(|(id, window)| Parent { vendor: VendorId::parse(&id).unwrap(), window });
    (line(), option::of(country()), vec(line(), 0..3), vec(former, 0..3), vec(parent, 0..3))
        .prop_map(|(name, country, aliases, former_names, parents)| Vendor {
            id: VendorId::parse("v0").unwrap(),
            name,
            country,
            aliases,
            former_names,
            parents,
        })
}

fn product_parts() -> impl Strategy<Value = Product> {
    let component = (id('v'), option::of(line()), window()).prop_map(|(id, name, window)| {
        Component { vendor: VendorId::parse(&id).unwrap(), name, window }
    });
    let components = option::of(vec(component, 0..3));
    (line(), select(CLASSES.to_vec()), vec(id('v'), 1..3), components).prop_map(
        |(name, class, vendors, components)| Product {
            id: ProductId::parse("p0").unwrap(),
            name,
            class: ProductClass::parse(class).unwrap(),
            vendors: vendors.iter().map(|id| VendorId::parse(id).unwrap()).collect(),
            components: components.map_or(Components::Unknown, Components::Known),
        },
    )
}

fn offer_parts() -> impl Strategy<Value = Offer> {
    let terms = (id('p'), option::of(line()), select(Unit::ALL.to_vec()), option::of(1_u32..=9));
    let whom = (
        vec(select(vec!["online_banking", "true", "12"]), 0..3),
        vec(country(), 0..3),
        option::of(0_u8..=70),
        option::of(70_u8..=150),
    );
    let rest = (window(), any::<bool>(), vec(id('o'), 0..3), option::of(line()));
    (terms, whom, rest).prop_map(|(terms, whom, rest)| Offer {
        id: OfferId::parse("o0").unwrap(),
        product: ProductId::parse(&terms.0).unwrap(),
        title: terms.1,
        unit: terms.2,
        max_per_unit: terms.3,
        requires: whom.0.into_iter().map(Arc::from).collect(),
        countries: whom.1,
        min_age: whom.2,
        max_age: whom.3,
        window: rest.0,
        outbound_excludes_vulnerable: rest.1,
        alternates: rest.2.iter().map(|id| OfferId::parse(id).unwrap()).collect(),
        condition: rest.3.map(Arc::from),
    })
}

fn advisory_parts() -> impl Strategy<Value = Advisory> {
    let url = "https://[a-z]{1,9}/[!-~]{0,9}";
    let names = (select(Force::ALL.to_vec()), select(AdvisoryStatus::ALL.to_vec()));
    (line(), names, day(), option::of(line()), option::of(url)).prop_map(
        |(issuer, (force, status), issued, title, url)| Advisory {
            id: AdvisoryId::parse("a0").unwrap(),
            issuer,
            force,
            status,
            issued,
            title,
            url,
        },
    )
}

fn scope(terms: Vocabularies, classes: Vec<ProductClass>) -> impl Strategy<Value = Scope> {
    fn some<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Vec<T>> {
        let most = of.len();
        prop_oneof![Just(Vec::new()), subsequence(of, 0..=most)]
    }
    let actions: Vec<_> = Action::ALL.into_iter().filter(|it| *it != Action::Notify).collect();
    let customer = prop_oneof!["[!-~]{1,20}", Just("Zoë".to_owned()), Just("12".to_owned())];
    let Vocabularies { segments, devices, channels } = terms;
    let whom = (
        subsequence(actions.clone(), 1..=actions.len()),
        vec(country(), 0..3),
        some(PersonNexus::ALL.to_vec()),
        some::<Segment>(segments),
        some(Holder::ALL.to_vec()),
    );
    let how = (
        some(Relationship::ALL.to_vec()),
        some::<Device>(devices),
        some::<Channel>(channels),
        some(classes),
        vec(customer, 0..3),
    );
    (whom, how).prop_map(|(whom, how)| Scope {
        actions: whom.0.into(),
        countries: whom.1.into(),
        person_nexus: whom.2.into(),
        segments: whom.3.into(),
        holders: whom.4.into(),
        relationships: how.0.into(),
        devices: how.1.into(),
        channels: how.2.into(),
        product_classes: how.3.into(),
        customers: how.4.iter().map(|id| CustomerId::parse(id).unwrap()).collect(),
    })
}

fn suspension_parts(
    terms: Vocabularies,
    classes: Vec<ProductClass>,
    [vendors, products, offers, advisories]: [usize; 4],
) -> impl Strategy<Value = Suspension> {
    let target = prop_oneof![
        (0..vendors).prop_map(|at| Target::Vendor(VendorId::parse(&format!("v{at}")).unwrap())),
        (0..products).prop_map(|at| Target::Product(ProductId::parse(&format!("p{at}")).unwrap())),
        (0..offers).prop_map(|at| Target::Offer(OfferId::parse(&format!("o{at}")).unwrap())),
    ];
    let what = (target, select(Reach::ALL.to_vec()), select(ComponentReach::ALL.to_vec()));
    let clause = option::of((instant(), 1_i64..1_000_000));
    let when = (instant(), option::of(1_i64..1_000_000), option::of(instant()), clause);
    let tag = select(vec!["en", "cy-GB", "zh-Hant-HK", "no"]);
    let message = option::of(prop_oneof![
        text().prop_map(CustomerMessage::Text),
        btree_map(tag.prop_map(str::to_owned), text(), 1..3).prop_map(CustomerMessage::ByLanguage),
    ]);
    let why = (option::of(day()), vec(0..advisories, 0..3), line(), text(), message);
    (what, scope(terms, classes), when, why).prop_map(|(what, scope, when, why)| {
        let of_vendor = matches!(what.0, Target::Vendor(_));
        let after = |seconds: i64| when.0 + jiff::SignedDuration::from_secs(seconds);
        Suspension {
            id: SuspensionId::parse("s0").unwrap(),
            target: what.0,
            reach: if of_vendor { what.1 } else { Reach::default() },
            components: if of_vendor { what.2 } else { ComponentReach::default() },
            scope,
            from: when.0,
            until: when.1.map(after),
            lifted_at: when.2,
            grandfather: when.3.map(|(accepted_before, until)| {
                Box::new(Grandfather { accepted_before, until: after(until) })
            }),
            review_by: why.0,
            advisories: why
                .1
                .into_iter()
                .map(|at| AdvisoryId::parse(&format!("a{at}")).unwrap())
                .collect(),
            ticket: why.2,
            reason: why.3,
            customer_message: why.4,
        }
    })
}

fn exemption_parts(
    terms: Vocabularies,
    classes: Vec<ProductClass>,
    suspensions: usize,
) -> impl Strategy<Value = Exemption> {
    let waives = vec(0..suspensions.max(1), 1..3);
    (waives, scope(terms, classes), instant(), 1_i64..1_000_000, line(), text()).prop_map(
        move |(waives, scope, from, length, ticket, reason)| Exemption {
            id: ExemptionId::parse("e0").unwrap(),
            waives: waives
                .into_iter()
                .filter(|at| *at < suspensions)
                .map(|at| SuspensionId::parse(&format!("s{at}")).unwrap())
                .collect(),
            scope,
            from,
            until: from + jiff::SignedDuration::from_secs(length),
            ticket,
            reason,
        },
    )
}
