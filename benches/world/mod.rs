//! A bank's world to measure in: 50 vendors, 500 products, 5,000 offers, and as many suspensions as
//! asked for. Everything comes from one seed, so that two runs measure the same.
//!
//! Suspensions: 10 % on a vendor, 30 % on a product, 60 % on an offer; relationship stated by 50 %,
//! segments by 60 % (1 to 3), countries by 70 % (1 to 5 of 30), channels by 50 % (1 or 2); a window
//! each, which for 20 % is over or still to come. Offers require up to 4 of 8 attributes.

use offergate::domain::*;
use smallvec::SmallVec;
use std::sync::Arc;

const VENDORS: usize = 50;
const PRODUCTS: usize = 500;
const OFFERS: usize = 5_000;
const COUNTRIES: [&str; 30] = [
    "GB", "IE", "FR", "DE", "ES", "IT", "PT", "NL", "BE", "LU", "DK", "SE", "NO", "FI", "PL", "CZ",
    "AT", "CH", "GR", "RO", "BG", "HR", "SI", "SK", "HU", "LT", "LV", "EE", "CY", "MT",
];
const SEGMENTS: [&str; 7] =
    ["RETAIL", "BUSINESS", "CNI", "GOV_CENTRAL", "GOV_FEDERAL", "GOV_NATSEC", "GOV_OTHER"];
const CHANNELS: [&str; 7] = ["WEB", "APP", "BRANCH", "PHONE", "EMAIL", "SMS", "POST"];
const ATTRIBUTES: [&str; 8] = [
    "online_banking",
    "paperless",
    "kyc_complete",
    "salary_paid_in",
    "mobile_app",
    "marketing",
    "main_account",
    "in_good_standing",
];
const ACTIONS: [Action; 4] = [Action::Offer, Action::Activate, Action::Reactivate, Action::Renew];

/// The instant at which everything is decided.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// With this chance, 1 to `most` different members; else none, which states nothing.
    fn some<T>(
        &mut self,
        percent: u64,
        list: &[&'static str],
        most: usize,
        read: impl Fn(&str) -> T,
    ) -> Vec<T> {
        if !self.chance(percent) {
            return Vec::new();
        }
        let mut chosen: Vec<&str> = Vec::new();
        for _ in 0..=self.below(most) {
            let one = self.one(list);
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        chosen.into_iter().map(read).collect()
    }
}

/// The rules, with this many suspensions.
pub(crate) fn rules(suspensions: usize) -> RuleSet {
    let mut dice = Dice(20_171_202);
    let mut rules = RuleSet::default();
    for number in 0..VENDORS {
        let id = VendorId::parse(&format!("vendor-{number:02}")).unwrap();
        let vendor = Vendor {
            id: id.clone(),
            name: format!("Vendor {number}"),
            country: None,
            aliases: Vec::new(),
            former_names: Vec::new(),
            parents: Vec::new(),
        };
        rules.vendors.insert(id, Arc::new(vendor));
    }
    for number in 0..PRODUCTS {
        let id = ProductId::parse(&format!("product-{number:03}")).unwrap();
        let vendor = format!("vendor-{:02}", dice.below(VENDORS));
        let product = Product {
            id: id.clone(),
            name: format!("Product {number}"),
            class: ProductClass::parse("ANTIVIRUS").unwrap(),
            vendors: vec![VendorId::parse(&vendor).unwrap()],
            components: Components::Known(Vec::new()),
        };
        rules.products.insert(id, Arc::new(product));
    }
    for number in 0..OFFERS {
        let offer = offer(number, &mut dice);
        rules.offers.insert(offer.id.clone(), Arc::new(offer));
    }
    for number in 0..suspensions {
        let suspension = suspension(number, &mut dice);
        rules.suspensions.insert(suspension.id.clone(), Arc::new(suspension));
    }
    rules
}

fn offer(number: usize, dice: &mut Dice) -> Offer {
    Offer {
        id: OfferId::parse(&format!("offer-{number:04}")).unwrap(),
        product: ProductId::parse(&format!("product-{:03}", dice.below(PRODUCTS))).unwrap(),
        title: None,
        unit: Unit::Person,
        max_per_unit: Some(1),
        // Shared between offers, as those of a rule file are.
        requires: dice
            .some(100, &ATTRIBUTES, 4, |name| ProductClass::parse(name).unwrap().shared()),
        countries: Vec::new(),
        min_age: None,
        max_age: None,
        window: Window::ALWAYS,
        outbound_excludes_vulnerable: false,
        alternates: Vec::new(),
        condition: None,
    }
}

fn suspension(number: usize, dice: &mut Dice) -> Suspension {
    let target = match dice.below(10) {
        0 => {
            Target::Vendor(VendorId::parse(&format!("vendor-{:02}", dice.below(VENDORS))).unwrap())
        }
        1..=3 => Target::Product(
            ProductId::parse(&format!("product-{:03}", dice.below(PRODUCTS))).unwrap(),
        ),
        _ => Target::Offer(OfferId::parse(&format!("offer-{:04}", dice.below(OFFERS))).unwrap()),
    };
    let (from, until) = match dice.below(10) {
        0 => ("2025-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
        1 => ("2027-01-01T00:00:00Z", None),
        _ => ("2026-01-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
    };
    let relationships = match dice.below(4) {
        0 => vec![Relationship::New],
        1 => vec![Relationship::Existing],
        _ => Vec::new(),
    };
    Suspension {
        id: SuspensionId::parse(&format!("suspension-{number:06}")).unwrap(),
        target,
        reach: Reach::Group,
        components: ComponentReach::Include,
        scope: Scope {
            actions: ACTIONS.into(),
            countries: dice.some(70, &COUNTRIES, 5, |code| Country::parse(code).unwrap()).into(),
            segments: dice.some(60, &SEGMENTS, 3, |name| Segment::parse(name).unwrap()).into(),
            relationships: relationships.into(),
            channels: dice.some(50, &CHANNELS, 2, |name| Channel::parse(name).unwrap()).into(),
            ..Scope::default()
        },
        from: from.parse().unwrap(),
        until: until.map(|until| until.parse().unwrap()),
        lifted_at: None,
        grandfather: None,
        review_by: None,
        advisories: [].into(),
        ticket: "CHG-1".to_owned(),
        reason: "measured".to_owned(),
        customer_message: None,
    }
}

/// A customer at an offer, with everything said that a rule could ask for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) offer: String,
    pub(crate) country: &'static str,
    pub(crate) segment: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) relationship: Relationship,
    attributes: [bool; 8],
}

/// Random customers at random offers.
pub(crate) fn asks(count: usize) -> Vec<Ask> {
    let mut dice = Dice(290_000);
    let ask = |_| Ask {
        offer: format!("offer-{:04}", dice.below(OFFERS)),
        country: dice.one(&COUNTRIES),
        segment: dice.one(&SEGMENTS),
        channel: dice.one(&CHANNELS),
        relationship: dice.one(&Relationship::ALL),
        attributes: std::array::from_fn(|_| dice.chance(95)),
    };
    (0..count).map(ask).collect()
}

impl Ask {
    /// The bank's own attributes of this customer.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, bool)> {
        ATTRIBUTES.into_iter().zip(self.attributes)
    }

    /// May this customer be offered it?
    pub(crate) fn request(&self) -> CheckRequest<'_> {
        let attributes: SmallVec<_> =
            self.attributes().map(|(name, value)| (name, AttributeValue::Bool(value))).collect();
        CheckRequest {
            customer: Customer {
                id: "cust-0012345678",
                relationship: Attribute::Known(self.relationship),
                country: Attribute::Known(Country::parse(self.country).unwrap()),
                segment: Attribute::Known(self.segment),
                us_person: Attribute::Known(false),
                vulnerable: Attribute::Known(false),
                holding: Attribute::Known(Holding::NONE),
                attributes,
                ..Customer::default()
            },
            offer: &self.offer,
            action: Action::Offer,
            channel: Attribute::Known(self.channel),
            device: Attribute::Known("DESKTOP"),
        }
    }
}
