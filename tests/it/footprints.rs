//! Which products a suspension hits, when owners change and nobody touches the suspension.

use offergate::decision::Footprints;
use offergate::domain::{ProductId, Timestamp};

const OWNED: &str = r#"
vendors:
  big: {name: Big}
  small: {name: Small, parents: [{vendor: big, from: "2020-01-01T00:00:00Z", until: "2021-01-01T00:00:00Z"}]}
products:
  p: {name: P, class: ANTIVIRUS, vendors: [small], components: []}
  q: {name: Q, class: ANTIVIRUS, vendors: [big], components: []}
suspensions:
  s: {target: {vendor: big}, reach: GROUP, actions: [OFFER], from: "2019-01-01T00:00:00Z",
      until: "2030-01-01T00:00:00Z", ticket: CHG-1, reason: Careful}
"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ids(products: &[ProductId]) -> Vec<&str> {
    products.iter().map(ProductId::as_str).collect()
}

#[test]
fn what_is_bought_is_hit_from_that_day_and_free_when_it_is_sold() {
    let footprints = Footprints::of(&offergate::rules::read(OWNED).unwrap()).unwrap();
    let moves = footprints.moves(at("2018-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
    assert_eq!(moves.len(), 2, "its own beginning and end are no news: {moves:?}");
    assert_eq!((moves[0].at, ids(&moves[0].widened)), (at("2020-01-01T00:00:00Z"), vec!["p"]));
    assert_eq!((moves[1].at, ids(&moves[1].freed)), (at("2021-01-01T00:00:00Z"), vec!["p"]));
    let none = footprints.moves(at("2020-01-01T00:00:00Z"), at("2020-12-31T00:00:00Z"));
    assert_eq!(none, [], "from the instant after the one that was seen");
}

#[test]
fn a_change_of_owners_moves_what_the_suspension_hits_and_a_change_of_the_suspension_is_no_news() {
    let now = at("2020-06-01T00:00:00Z");
    let of = |yaml: &str| Footprints::of(&offergate::rules::read(yaml).unwrap()).unwrap();
    let before = of(OWNED);
    let sold = of(&OWNED.replace("until: \"2021-01-01", "until: \"2020-03-01"));
    let moves = before.moved_to(&sold, now);
    assert_eq!((moves.len(), ids(&moves[0].freed), ids(&moves[0].widened)), (1, vec!["p"], vec![]));
    assert_eq!(ids(&sold.moved_to(&before, now)[0].widened), ["p"]);
    assert_eq!(before.moved_to(&sold, at("2020-02-01T00:00:00Z")), []);
    let narrower = of(&OWNED.replace("reach: GROUP", "reach: ENTITY_ONLY"));
    assert_eq!(before.moved_to(&narrower, now), []);
}
