//! `offergate find`: vendors, products and offers by a name, an old name, an alias or an id.

use super::connection::{ServerArgs, failed};
use super::exit::{Exit, Failure};
use super::output::{Answer, Output};
use super::text::Text;
use crate::wire::proto;
use proto::search_result::Found;
use serde::Serialize;

/// Find vendors, products and offers by name, old name, alias or id
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A vendor that is found shows its family, products and offers. Exit code 3 when nothing is found.

Example:
  offergate find kaspersky")]
pub(super) struct Args {
    /// A name, or a part of one
    text: String,

    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Finds(Vec<Find>);

/// One find.
#[derive(Debug, Serialize)]
struct Find {
    /// `vendor`, `product` or `offer`.
    kind: &'static str,
    id: String,
    name: String,
    /// The name that matched.
    matched: String,
    /// Of a vendor: the other vendors under common control with it.
    family: Vec<String>,
    /// Of a vendor: what it and its family supply. Of an offer: its product.
    products: Vec<String>,
    /// Of a vendor or a product: the offers.
    offers: Vec<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<Exit, Failure> {
    let finds = args.server.ask(output, async |client| {
        let mut finds = Vec::new();
        let mut page_token = String::new();
        loop {
            let request =
                proto::SearchRequest { query: args.text.clone(), page_size: 0, page_token };
            let page = client.search(request).await.map_err(failed("the search"))?;
            for result in page.results {
                let Some(found) = result.found else { continue };
                finds.push(Find::of(&client, found, result.matched).await?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(finds);
            }
        }
    })?;
    let found = !finds.is_empty();
    if !found {
        output.note(format_args!("nothing is called `{}`", args.text));
    }
    output.answer(&Finds(finds))?;
    Ok(if found { Exit::Ok } else { Exit::NotFound })
}

impl Find {
    async fn of(
        client: &crate::client::Client,
        found: Found,
        matched: String,
    ) -> Result<Self, Failure> {
        let (mut family, mut products, mut offers) = (Vec::new(), Vec::new(), Vec::new());
        let (kind, id, name) = match found {
            Found::Vendor(vendor) => {
                let request = proto::GetVendorRequest { id: vendor.id.clone() };
                let whole = client.get_vendor(request).await.map_err(failed("the vendor"))?;
                family = whole.family.into_iter().map(|vendor| vendor.id).collect();
                products = whole.products.into_iter().map(|product| product.id).collect();
                offers = whole.offers.into_iter().map(|offer| offer.id).collect();
                ("vendor", vendor.id, vendor.name)
            }
            Found::Product(product) => {
                let request = proto::GetProductRequest { id: product.id.clone() };
                let whole = client.get_product(request).await.map_err(failed("the product"))?;
                offers = whole.offers.into_iter().map(|offer| offer.id).collect();
                ("product", product.id, product.name)
            }
            Found::Offer(offer) => {
                products.push(offer.product);
                ("offer", offer.id, offer.title)
            }
        };
        Ok(Self { kind, id, name, matched, family, products, offers })
    }
}

impl Answer for Finds {
    const COLUMNS: &'static [&'static str] =
        &["kind", "id", "name", "matched", "family", "products", "offers"];

    fn text(&self, text: &mut Text) {
        text.table(
            &["KIND", "ID", "NAME", "FAMILY", "PRODUCTS", "OFFERS"],
            self.0.iter().map(|find| {
                let name = match find.matched == find.name || find.matched == find.id {
                    true => find.name.clone(),
                    false => format!("{} ({})", find.name, find.matched),
                };
                let lists = [&find.family, &find.products, &find.offers];
                let [family, products, offers] = lists.map(|ids| ids.join(" "));
                [find.kind.to_owned(), find.id.clone(), name, family, products, offers]
            }),
        );
    }
}
