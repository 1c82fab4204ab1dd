//! A change that is called tightening makes nothing eligible, whatever the rules and whoever asks.

use crate::random::{self, Dice};
use offergate::decision::{Snapshot, decide, direction};
use offergate::domain::*;
use std::sync::Arc;

/// Changes a few things of random rules, this way or that.
fn changed(dice: &mut Dice, rules: &RuleSet) -> RuleSet {
    let mut next = rules.clone();
    for _ in 0..=dice.below(2) {
        match dice.below(6) {
            0 => next.vendors.values_mut().for_each(|it| nudge_vendor(dice, it)),
            1 => next.products.values_mut().for_each(|it| nudge_product(dice, it)),
            2 => next.offers.values_mut().for_each(|it| nudge_offer(dice, it)),
            3 => next.exemptions.values_mut().for_each(|it| nudge_exemption(dice, it)),
            4 => {
                let number = 90 + dice.below(3);
                let added = random::suspension(dice, number);
                next.suspensions.insert(added.id.clone(), Arc::new(added));
            }
            _ => next.suspensions.values_mut().for_each(|it| nudge_suspension(dice, it)),
        }
    }
    if dice.chance(10) {
        next.exemptions.retain(|_, _| dice.chance(50));
    }
    if dice.chance(5) {
        let gone = format!("o{}", dice.below(random::OFFERS));
        next.offers.retain(|id, _| id.as_str() != gone);
        for offer in next.offers.values_mut() {
            Arc::make_mut(offer).alternates.retain(|id| id.as_str() != gone);
        }
    }
    next
}

/// Adds something to a list, or takes something out.
fn nudge_list<T: Clone + PartialEq, L: Clone + Into<Vec<T>> + From<Vec<T>>>(
    dice: &mut Dice,
    nudged: &mut L,
    all: &[T],
) {
    let mut list: Vec<T> = nudged.clone().into();
    match dice.below(8) {
        0 => list.clear(),
        1 | 2 => {
            list.pop();
        }
        3..=5 if !all.is_empty() => {
            let one = dice.one(all).clone();
            if !list.contains(&one) {
                list.push(one);
            }
        }
        _ => {}
    }
    *nudged = list.into();
}

fn nudge_instant(dice: &mut Dice, instant: &mut Option<Timestamp>) {
    match dice.below(6) {
        0 => *instant = None,
        1 => *instant = Some(dice.instant()),
        _ => {}
    }
}

fn nudge_window(dice: &mut Dice, window: &mut Window) {
    nudge_instant(dice, &mut window.from);
    nudge_instant(dice, &mut window.until);
    if window.is_empty() {
        *window = Window::ALWAYS;
    }
}

fn nudge_vendor(dice: &mut Dice, vendor: &mut Arc<Vendor>) {
    let number: usize = vendor.id.as_str()[1..].parse().unwrap();
    let parents = &mut Arc::make_mut(vendor).parents;
    match dice.below(5) {
        0 if 0 < number => parents.push(Parent {
            vendor: format!("v{}", dice.below(number)).parse().unwrap(),
            window: Window::ALWAYS,
        }),
        1 => {
            parents.pop();
        }
        2 => parents.iter_mut().for_each(|parent| nudge_window(dice, &mut parent.window)),
        _ => {}
    }
}

fn nudge_product(dice: &mut Dice, product: &mut Arc<Product>) {
    let vendors: Vec<VendorId> =
        (0..random::VENDORS).map(|number| format!("v{number}").parse().unwrap()).collect();
    let product = Arc::make_mut(product);
    let before = product.vendors.clone();
    nudge_list(dice, &mut product.vendors, &vendors);
    if product.vendors.is_empty() {
        product.vendors = before;
    }
    match (&mut product.components, dice.below(4)) {
        (components, 0) => *components = Components::Unknown,
        (Components::Unknown, 1) => product.components = Components::Known(vec![]),
        (Components::Known(list), 2) => list.push(Component {
            vendor: dice.one(&vendors).clone(),
            name: None,
            window: Window::ALWAYS,
        }),
        (Components::Known(list), _) => {
            list.iter_mut().for_each(|it| nudge_window(dice, &mut it.window));
        }
        (Components::Unknown, _) => {}
    }
}

fn nudge_offer(dice: &mut Dice, offer: &mut Arc<Offer>) {
    let offer = Arc::make_mut(offer);
    let countries = ["GB", "IE", "US", "DE"].map(|code| Country::parse(code).unwrap());
    match dice.below(10) {
        0 => nudge_list(dice, &mut offer.countries, &countries),
        1 => nudge_list(dice, &mut offer.requires, &["online_banking".into(), "paperless".into()]),
        2 => offer.min_age = dice.maybe(60, |dice| [0, 16, 18, 20][dice.below(4)]),
        3 => offer.max_age = dice.maybe(60, |dice| [20, 25, 65][dice.below(3)]),
        4 => nudge_window(dice, &mut offer.window),
        5 => offer.outbound_excludes_vulnerable = dice.chance(60),
        6 => offer.max_per_unit = dice.maybe(60, |dice| dice.below(3) as u32),
        7 => offer.condition = dice.maybe(60, |_| "attributes.balance >= 100".into()),
        8 => offer.alternates.clear(),
        _ => {}
    }
}

fn nudge_scope(dice: &mut Dice, scope: &mut Scope) {
    let countries = ["GB", "IE", "US", "DE"].map(|code| Country::parse(code).unwrap());
    match dice.below(9) {
        0 => nudge_list(dice, &mut scope.countries, &countries),
        1 => nudge_list(dice, &mut scope.person_nexus, &PersonNexus::ALL),
        2 => nudge_list(dice, &mut scope.holders, &Holder::ALL),
        3 => nudge_list(dice, &mut scope.relationships, &Relationship::ALL),
        4 => nudge_list(
            dice,
            &mut scope.devices,
            &["DESKTOP", "MOBILE"].map(|it| it.parse().unwrap()),
        ),
        5 => nudge_list(dice, &mut scope.channels, &["WEB", "EMAIL"].map(|it| it.parse().unwrap())),
        6 => {
            nudge_list(dice, &mut scope.segments, &["RETAIL", "CNI"].map(|it| it.parse().unwrap()))
        }
        7 => nudge_list(
            dice,
            &mut scope.product_classes,
            &["ANTIVIRUS", "VPN"].map(|it| it.parse().unwrap()),
        ),
        _ => {}
    }
}

fn nudge_suspension(dice: &mut Dice, suspension: &mut Arc<Suspension>) {
    let suspension = Arc::make_mut(suspension);
    nudge_scope(dice, &mut suspension.scope);
    match dice.below(9) {
        0 => {
            nudge_list(dice, &mut suspension.scope.actions, &Action::ALL[..6]);
            if suspension.scope.actions.is_empty() {
                suspension.scope.actions.push(Action::Offer);
            }
        }
        1 => suspension.reach = *dice.one(&Reach::ALL),
        2 => suspension.components = *dice.one(&ComponentReach::ALL),
        3 => suspension.from = dice.instant(),
        4 => nudge_instant(dice, &mut suspension.until),
        5 => nudge_instant(dice, &mut suspension.lifted_at),
        6 => suspension.grandfather = None,
        7 => {
            let clause = Grandfather { accepted_before: dice.instant(), until: dice.instant() };
            suspension.grandfather = Some(Box::new(clause));
        }
        _ => {}
    }
}

fn nudge_exemption(dice: &mut Dice, exemption: &mut Arc<Exemption>) {
    let exemption = Arc::make_mut(exemption);
    nudge_scope(dice, &mut exemption.scope);
    match dice.below(5) {
        0 => exemption.from = dice.instant(),
        1 => exemption.until = dice.instant(),
        2 if 1 < exemption.waives.len() => drop(exemption.waives.pop()),
        3 => nudge_list(dice, &mut exemption.scope.actions, &Action::ALL[..6]),
        _ => {}
    }
}

#[test]
fn what_is_called_tightening_makes_nothing_eligible_that_was_not() {
    let first = random::first_seed();
    let (mut tightening, mut loosened) = (0, 0);
    let cases = random::cases(4_000) as u64;
    for seed in first..first + cases {
        let mut dice = Dice::new(seed ^ 0x5eed_d1ec);
        let before = random::rules(&mut dice);
        let after = changed(&mut dice, &before);
        let [Ok(old), Ok(new)] = [&before, &after].map(|it| Snapshot::compile(it, Revision(1)))
        else {
            continue;
        };
        let way = direction(&before, &after);
        tightening += usize::from(way == Direction::Tightening);
        for _ in 0..40 {
            let (request, now) = (random::request(&mut dice), dice.instant());
            let [was, is] = [&old, &new].map(|it| decide(&request, it, now).outcome);
            if is == Outcome::Eligible && was != Outcome::Eligible {
                loosened += 1;
                assert_eq!(way, Direction::Loosening, "OFFERGATE_SEED={seed}");
            }
        }
    }
    // Both happen often enough for this to say something.
    let few = usize::try_from(cases / 20).unwrap();
    assert!(few < tightening && few < loosened, "{tightening} tightening, {loosened} loosened");
}

fn rules() -> RuleSet {
    offergate::rules::read(
        "
vendors: {acme: {name: Acme}, owner: {name: Owner}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {plain: {product: shield, countries: [GB, IE]}}
suspensions:
  stop: {target: {vendor: acme}, reach: DESCENDANTS, actions: [OFFER], countries: [GB],
         from: \"2026-01-01T00:00:00Z\", until: \"2027-01-01T00:00:00Z\", ticket: T-1, reason: Why}
exemptions:
  pilot: {waives: [stop], customers: [c-1], from: \"2026-01-01T00:00:00Z\",
          until: \"2026-06-01T00:00:00Z\", ticket: T-1, reason: Why}
",
    )
    .unwrap()
}

#[test]
fn a_change_goes_the_way_of_its_effect_and_not_of_its_name() {
    type Edit = fn(&mut RuleSet);
    fn stop(rules: &mut RuleSet) -> &mut Suspension {
        Arc::make_mut(rules.suspensions.values_mut().next().unwrap())
    }
    fn pilot(rules: &mut RuleSet) -> &mut Exemption {
        Arc::make_mut(rules.exemptions.values_mut().next().unwrap())
    }
    fn plain(rules: &mut RuleSet) -> &mut Offer {
        Arc::make_mut(rules.offers.values_mut().next().unwrap())
    }
    fn shield(rules: &mut RuleSet) -> &mut Product {
        Arc::make_mut(rules.products.values_mut().next().unwrap())
    }
    fn acme(rules: &mut RuleSet) -> &mut Vendor {
        Arc::make_mut(rules.vendors.values_mut().next().unwrap())
    }
    let cases: [(&str, Direction, Edit); 22] = [
        ("nothing", Direction::Tightening, |_| {}),
        ("another reason", Direction::Tightening, |it| stop(it).reason = "Other".into()),
        ("a later review", Direction::Tightening, |it| {
            stop(it).review_by = Some(Date::new(2026, 3, 1).unwrap());
        }),
        ("an amendment that narrows", Direction::Loosening, |it| {
            stop(it).scope.segments = vec!["RETAIL".parse().unwrap()].into();
        }),
        ("one that widens", Direction::Tightening, |it| stop(it).scope.countries.clear()),
        ("another country instead", Direction::Loosening, |it| {
            stop(it).scope.countries = vec![Country::parse("IE").unwrap()].into();
        }),
        ("US persons besides", Direction::Tightening, |it| {
            stop(it).scope.person_nexus = vec![PersonNexus::UsPerson].into();
        }),
        ("an earlier end", Direction::Loosening, |it| {
            stop(it).until = Some("2026-12-31T00:00:00Z".parse().unwrap());
        }),
        ("no end", Direction::Tightening, |it| stop(it).until = None),
        ("a lift", Direction::Loosening, |it| {
            stop(it).lifted_at = Some("2026-02-01T00:00:00Z".parse().unwrap());
        }),
        ("a lift after its end", Direction::Tightening, |it| {
            stop(it).lifted_at = Some("2028-02-01T00:00:00Z".parse().unwrap());
        }),
        ("less reach", Direction::Loosening, |it| stop(it).reach = Reach::EntityOnly),
        ("more reach", Direction::Tightening, |it| stop(it).reach = Reach::Group),
        ("a grandfather clause", Direction::Loosening, |it| {
            stop(it).grandfather = Some(Box::new(Grandfather {
                accepted_before: "2026-01-01T00:00:00Z".parse().unwrap(),
                until: "2026-02-01T00:00:00Z".parse().unwrap(),
            }));
        }),
        ("a longer exemption", Direction::Loosening, |it| {
            pilot(it).until = "2026-07-01T00:00:00Z".parse().unwrap();
        }),
        ("no exemption", Direction::Tightening, |it| it.exemptions.clear()),
        ("a country less", Direction::Tightening, |it| plain(it).countries.truncate(1)),
        ("all countries", Direction::Loosening, |it| plain(it).countries.clear()),
        ("no offer", Direction::Tightening, |it| it.offers.clear()),
        ("another vendor", Direction::Loosening, |it| {
            shield(it).vendors = vec!["owner".parse().unwrap()];
        }),
        ("components that nobody knows", Direction::Tightening, |it| {
            shield(it).components = Components::Unknown;
        }),
        ("a parent", Direction::Tightening, |it| {
            acme(it).parents =
                vec![Parent { vendor: "owner".parse().unwrap(), window: Window::ALWAYS }];
        }),
    ];
    for (what, expected, edit) in cases {
        let (before, mut after) = (rules(), rules());
        edit(&mut after);
        assert_eq!(direction(&before, &after), expected, "{what}");
        if before != after && expected == Direction::Tightening && what != "a lift after its end" {
            let back = direction(&after, &before);
            let is_told = ["another reason", "a later review"].contains(&what);
            let way = if is_told { Direction::Tightening } else { Direction::Loosening };
            assert_eq!(back, way, "{what}, taken back");
        }
    }
}
