//! Random rules, customers and instants, drawn from small worlds so that rules meet often.
//!
//! Everything comes from one seed: a failing case prints it, and `OFFERGATE_SEED` runs it again.
//! `OFFERGATE_CASES` sets how many cases are tried.

use jiff::ToSpan;
use offergate::domain::*;
use std::sync::Arc;

/// How many cases to try: `OFFERGATE_CASES`, or the number that CI runs.
pub(crate) fn cases(default: usize) -> usize {
    std::env::var("OFFERGATE_CASES").map_or(default, |text| text.parse().expect("a number"))
}

/// Where to start: `OFFERGATE_SEED`, or 0.
pub(crate) fn first_seed() -> u64 {
    std::env::var("OFFERGATE_SEED").map_or(0, |text| text.parse().expect("a number"))
}

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True so many times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    pub(crate) fn maybe<T>(
        &mut self,
        percent: u64,
        make: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        self.chance(percent).then(|| make(self))
    }

    /// Up to `most` different members, none twice, in random order.
    pub(crate) fn some<T: Clone + PartialEq>(&mut self, list: &[T], most: usize) -> Vec<T> {
        let mut chosen = Vec::new();
        for _ in 0..=self.below(most) {
            let one = self.one(list).clone();
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        chosen
    }

    /// Instants on a coarse grid, so that edges meet, and one nanosecond to either side of it.
    pub(crate) fn instant(&mut self) -> Timestamp {
        let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let day = self.below(40) as i64;
        let nudge = [0, 0, 0, 1, -1][self.below(5)];
        start + (day * 24).hours() + nudge.nanoseconds()
    }

    fn window(&mut self) -> Window {
        let window =
            Window { from: self.maybe(50, Self::instant), until: self.maybe(50, Self::instant) };
        if window.is_empty() { Window::ALWAYS } else { window }
    }
}

const COUNTRIES: [&str; 4] = ["GB", "IE", "US", "DE"];
const SEGMENTS: [&str; 3] = ["RETAIL", "BUSINESS", "CNI"];
const CHANNELS: [&str; 3] = ["WEB", "EMAIL", "BRANCH"];
const DEVICES: [&str; 2] = ["DESKTOP", "MOBILE"];
const CLASSES: [&str; 2] = ["ANTIVIRUS", "VPN"];
const CUSTOMERS: [&str; 3] = ["c-1", "c-2", "c-3"];
const REQUIRED: [&str; 2] = ["online_banking", "paperless"];
/// Attributes that nothing asks for. The first two look like required ones: as long, and the same at either end and in
/// the middle.
const OTHERS: [&str; 10] =
    ["pinkrooms", "opaque_billing", "", "a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"];
const CONDITIONS: [&str; 6] = [
    "attributes.balance >= 100",
    "customer.country == 'GB' || attributes.vip",
    "!attributes.vip && attributes.balance < 10",
    "customer.segment in ['RETAIL', 'CNI'] && customer.age < 21",
    "['GB', 'IE'].exists(c, c == customer.country)",
    "attributes.tier == 'gold' ? true : attributes.balance / 0.0 > 1.0",
];

fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn numbered<T: std::str::FromStr>(prefix: &str, number: usize) -> T
where
    T::Err: std::fmt::Debug,
{
    id(&format!("{prefix}{number}"))
}

/// How large a random world is.
pub(crate) const VENDORS: usize = 5;
pub(crate) const PRODUCTS: usize = 4;
pub(crate) const OFFERS: usize = 6;

/// A rule set in which everything that is named exists.
pub(crate) fn rules(dice: &mut Dice) -> RuleSet {
    let mut rules = RuleSet::default();
    for number in 0..VENDORS {
        let vendor = vendor(dice, number);
        rules.vendors.insert(vendor.id.clone(), Arc::new(vendor));
    }
    for number in 0..PRODUCTS {
        let product = product(dice, number);
        rules.products.insert(product.id.clone(), Arc::new(product));
    }
    for number in 0..OFFERS {
        let offer = offer(dice, number);
        rules.offers.insert(offer.id.clone(), Arc::new(offer));
    }
    for number in 0..dice.below(12) {
        let suspension = suspension(dice, number);
        rules.suspensions.insert(suspension.id.clone(), Arc::new(suspension));
    }
    if !rules.suspensions.is_empty() {
        for number in 0..dice.below(5) {
            let exemption = exemption(dice, number, &rules);
            rules.exemptions.insert(exemption.id.clone(), Arc::new(exemption));
        }
    }
    rules
}

fn vendor(dice: &mut Dice, number: usize) -> Vendor {
    let parent = |dice: &mut Dice| Parent {
        // Parents have lower numbers, so that there is no cycle.
        vendor: numbered("v", dice.below(number.max(1))),
        window: dice.window(),
    };
    let parents =
        if number == 0 { vec![] } else { (0..dice.below(3)).map(|_| parent(dice)).collect() };
    Vendor {
        id: numbered("v", number),
        name: format!("Vendor {number}"),
        country: None,
        aliases: vec![],
        former_names: vec![],
        parents,
    }
}

fn product(dice: &mut Dice, number: usize) -> Product {
    let vendors: Vec<VendorId> = (0..VENDORS).map(|number| numbered("v", number)).collect();
    let component = |dice: &mut Dice| Component {
        vendor: dice.one(&vendors).clone(),
        name: None,
        window: dice.window(),
    };
    let components = if dice.chance(20) {
        Components::Unknown
    } else {
        Components::Known((0..dice.below(3)).map(|_| component(dice)).collect())
    };
    Product {
        id: numbered("p", number),
        name: format!("Product {number}"),
        class: id(CLASSES[number % CLASSES.len()]),
        vendors: dice.some(&vendors, 2),
        components,
    }
}

fn offer(dice: &mut Dice, number: usize) -> Offer {
    Offer {
        id: numbered("o", number),
        product: numbered("p", dice.below(PRODUCTS)),
        title: None,
        unit: *dice.one(&Unit::ALL),
        max_per_unit: dice.maybe(40, |dice| dice.below(3) as u32),
        requires: dice
            .maybe(30, |dice| dice.some(&REQUIRED, 2))
            .map_or(vec![], |names| names.into_iter().map(Into::into).collect()),
        countries: dice.maybe(30, countries).unwrap_or_default(),
        min_age: dice.maybe(25, |dice| [0, 16, 18, 20, 255][dice.below(5)]),
        max_age: dice.maybe(25, |dice| [20, 25, 65][dice.below(3)]),
        window: dice.maybe(40, Dice::window).unwrap_or_default(),
        outbound_excludes_vulnerable: dice.chance(40),
        alternates: dice
            .maybe(50, |dice| {
                let others: Vec<OfferId> = (0..OFFERS)
                    .filter(|other| *other != number)
                    .map(|other| numbered("o", other))
                    .collect();
                dice.some(&others, 3)
            })
            .unwrap_or_default(),
        condition: dice.maybe(15, |dice| (*dice.one(&CONDITIONS)).into()),
    }
}

fn countries(dice: &mut Dice) -> Vec<Country> {
    dice.some(&COUNTRIES, 2).into_iter().map(|code| Country::parse(code).unwrap()).collect()
}

/// A scope that states each dimension now and then. `actions` is for the caller to set.
fn scope(dice: &mut Dice) -> Scope {
    fn terms<T: std::str::FromStr>(dice: &mut Dice, names: &[&str]) -> Vec<T>
    where
        T::Err: std::fmt::Debug,
    {
        if !dice.chance(20) {
            return vec![];
        }
        dice.some(names, 2).into_iter().map(id).collect()
    }
    Scope {
        actions: vec![].into(),
        countries: dice.maybe(30, countries).unwrap_or_default().into(),
        person_nexus: if dice.chance(15) {
            vec![PersonNexus::UsPerson].into()
        } else {
            vec![].into()
        },
        segments: terms(dice, &SEGMENTS).into(),
        holders: dice.maybe(20, |dice| dice.some(&Holder::ALL, 2)).unwrap_or_default().into(),
        relationships: dice
            .maybe(15, |dice| dice.some(&Relationship::ALL, 2))
            .unwrap_or_default()
            .into(),
        devices: terms(dice, &DEVICES).into(),
        channels: terms(dice, &CHANNELS).into(),
        product_classes: terms(dice, &CLASSES).into(),
        customers: dice
            .maybe(10, |dice| dice.some(&CUSTOMERS, 2))
            .unwrap_or_default()
            .into_iter()
            .map(|id| CustomerId::parse(id).unwrap())
            .collect(),
    }
}

/// A suspension of something that the random world has.
pub(crate) fn suspension(dice: &mut Dice, number: usize) -> Suspension {
    let target = match dice.below(5) {
        0 => Target::Product(numbered("p", dice.below(PRODUCTS))),
        1 => Target::Offer(numbered("o", dice.below(OFFERS))),
        _ => Target::Vendor(numbered("v", dice.below(VENDORS))),
    };
    let mut scope = scope(dice);
    scope.actions = dice.some(&Action::ALL[..6], 5).into();
    let from = dice.instant();
    Suspension {
        id: numbered("s", number),
        target,
        reach: *dice.one(&Reach::ALL),
        components: *dice.one(&ComponentReach::ALL),
        scope,
        from,
        until: dice.maybe(40, Dice::instant).filter(|until| from < *until),
        lifted_at: dice.maybe(20, Dice::instant),
        grandfather: dice.maybe(25, |dice| {
            Box::new(Grandfather { accepted_before: dice.instant(), until: dice.instant() })
        }),
        review_by: None,
        advisories: vec![].into(),
        ticket: "CHG-1".into(),
        reason: "random".into(),
        customer_message: None,
    }
}

/// An exemption from suspensions that `rules` has.
pub(crate) fn exemption(dice: &mut Dice, number: usize, rules: &RuleSet) -> Exemption {
    let suspensions: Vec<SuspensionId> = rules.suspensions.keys().cloned().collect();
    let mut scope = scope(dice);
    if dice.chance(30) {
        scope.actions = dice.some(&Action::ALL, 3).into();
    }
    let from = dice.instant();
    Exemption {
        id: numbered("e", number),
        waives: dice.some(&suspensions, 2),
        scope,
        from,
        until: from + (1 + dice.below(500) as i64).hours(),
        ticket: "CHG-2".into(),
        reason: "random".into(),
    }
}

fn attribute<T>(dice: &mut Dice, make: impl FnOnce(&mut Dice) -> T) -> Attribute<T> {
    match dice.below(12) {
        0 => Attribute::Missing,
        1 => Attribute::Invalid,
        _ => Attribute::Known(make(dice)),
    }
}

pub(crate) fn holding(dice: &mut Dice) -> Holding<'static> {
    let rarely = |dice: &mut Dice| dice.chance(35);
    Holding {
        status: attribute(dice, |dice| *dice.one(&HoldingStatus::ALL)),
        accepted_at: attribute(dice, Dice::instant),
        term_end: if rarely(dice) { Attribute::Missing } else { attribute(dice, Dice::instant) },
        covered_by: if rarely(dice) { attribute(dice, |_| "holder") } else { Attribute::Missing },
        unit_count: if rarely(dice) {
            attribute(dice, |dice| dice.below(4) as u32)
        } else {
            Attribute::Missing
        },
    }
}

/// A request about an offer of the random world, or now and then about none.
pub(crate) fn request(dice: &mut Dice) -> CheckRequest<'static> {
    const IDS: [&str; OFFERS + 1] = ["o0", "o1", "o2", "o3", "o4", "o5", "nothing"];
    const HELD: [&str; PRODUCTS] = ["p0", "p1", "p2", "p3"];
    let mut customer = Customer {
        id: dice.one::<&str>(&CUSTOMERS),
        relationship: attribute(dice, |dice| *dice.one(&Relationship::ALL)),
        country: attribute(dice, |dice| {
            Country::parse(COUNTRIES[dice.below(COUNTRIES.len())]).unwrap()
        }),
        segment: attribute(dice, |dice| *dice.one(&["RETAIL", "BUSINESS", "CNI", "nonsense"])),
        us_person: attribute(dice, |dice| dice.chance(30)),
        date_of_birth: attribute(dice, |dice| {
            let year = [1950, 1999, 2003, 2004, 2007, 2008, 2024][dice.below(7)];
            let (month, day) = [(1, 1), (1, 15), (2, 1), (2, 28), (6, 30)][dice.below(5)];
            let leap = year % 4 == 0 && dice.chance(20);
            if leap {
                Date::new(year, 2, 29).unwrap()
            } else {
                Date::new(year, month, day).unwrap()
            }
        }),
        vulnerable: attribute(dice, |dice| dice.chance(30)),
        holding: match dice.below(10) {
            0 => Attribute::Missing,
            1 => Attribute::Invalid,
            _ => Attribute::Known(holding(dice)),
        },
        ..Customer::default()
    };
    for product in HELD {
        if dice.chance(30) {
            customer.holdings.push((product, holding(dice)));
        }
    }
    if dice.chance(20) {
        let others = OTHERS.iter().take(dice.below(OTHERS.len() + 1));
        customer.attributes.extend(others.map(|name| (*name, AttributeValue::Bool(false))));
    }
    for name in ["online_banking", "paperless", "vip"] {
        if dice.chance(85) {
            let value = match dice.below(10) {
                0 => AttributeValue::Invalid,
                1 => AttributeValue::Text("yes"),
                _ => AttributeValue::Bool(dice.chance(70)),
            };
            customer.attributes.push((name, value));
        }
    }
    if dice.chance(80) {
        customer.attributes.push(("balance", AttributeValue::Number(dice.below(200) as f64)));
    }
    if dice.chance(60) {
        let tier = *dice.one(&["gold", "silver"]);
        customer.attributes.push(("tier", AttributeValue::Text(tier)));
    }
    CheckRequest {
        customer,
        offer: dice.one::<&str>(&IDS),
        action: *dice.one(&Action::ALL),
        channel: attribute(dice, |dice| *dice.one(&["WEB", "EMAIL", "BRANCH", "FAX"])),
        device: attribute(dice, |dice| *dice.one(&["DESKTOP", "MOBILE", "TOASTER"])),
    }
}
