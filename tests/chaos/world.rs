//! What a run is about: a handful of vendors with a product and an offer each, and one customer.

use offergate::wire::proto;

/// How many vendors, products and offers.
pub(crate) const VENDORS: usize = 6;

pub(crate) fn vendor(number: usize) -> String {
    format!("vendor-{number}")
}

pub(crate) fn offer(number: usize) -> String {
    format!("offer-{number}")
}

/// The rules that a run starts from: everything may be offered.
pub(crate) fn rules() -> String {
    let section = |name: &str, line: &dyn Fn(usize) -> String| {
        let lines: String = (0..VENDORS).map(line).collect();
        format!("{name}:\n{lines}")
    };
    [
        section("vendors", &|n| format!("  vendor-{n}: {{name: Vendor {n}}}\n")),
        section("products", &|n| {
            let vendors = format!("vendors: [vendor-{n}], components: []");
            format!("  product-{n}: {{name: Product {n}, class: ANTIVIRUS, {vendors}}}\n")
        }),
        section("offers", &|n| format!("  offer-{n}: {{product: product-{n}}}\n")),
    ]
    .concat()
}

/// May the one customer be offered this?
pub(crate) fn question(
    offer: &str,
    consistency: Option<proto::Consistency>,
) -> proto::CheckEligibilityRequest {
    let none = proto::HoldingStatus::None.into();
    proto::CheckEligibilityRequest {
        customer: Some(proto::Customer {
            id: "c-1".to_owned(),
            country: Some("GB".to_owned()),
            holding: Some(proto::Holding { status: none, ..proto::Holding::default() }),
            ..proto::Customer::default()
        }),
        offer: offer.to_owned(),
        action: proto::Action::Offer.into(),
        consistency,
        ..proto::CheckEligibilityRequest::default()
    }
}
