//! Adapts `CatalogService`.

use super::api::Api;
use super::eligibility::both;
use super::paging;
use super::status::invalid;
use super::suspensions::none;
use crate::domain::{OfferId, ProductId, VendorId};
use crate::service::catalog::{Found, Match, family, search};
use crate::wire::catalog::{write_offer, write_product, write_vendor};
use crate::wire::{FieldErrors, proto};
use proto::catalog_service_server::CatalogService;
use tonic::{Request, Response, Status};

/// Longest text to search for, in bytes.
const MOST_QUERY: usize = 256;

#[tonic::async_trait]
impl CatalogService for Api {
    async fn search(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchResponse>, Status> {
        let message = request.get_ref();
        let skipped = paging::token(&message.page_token, |text| text.parse::<usize>().ok());
        let page = both(paging::size(message.page_size), skipped);
        let ((size, skipped), ()) =
            both(page, query(&message.query)).map_err(|errors| invalid(&errors))?;
        let skipped = skipped.unwrap_or_default();
        let held = self.rules()?;
        let found = search(&held.rules, &message.query);
        let left = found.iter().enumerate().skip(skipped);
        let (results, next_page_token) = paging::cut(
            left,
            size,
            |(place, _)| (place + 1).to_string(),
            |(_, found)| write_match(found),
        );
        Ok(Response::new(proto::SearchResponse { results, next_page_token }))
    }

    async fn get_vendor(
        &self,
        request: Request<proto::GetVendorRequest>,
    ) -> Result<Response<proto::GetVendorResponse>, Status> {
        let text = &request.get_ref().id;
        let id = id(text, VendorId::parse)?;
        let held = self.rules()?;
        let vendor = held.rules.vendors.get(&id).ok_or_else(|| none("vendor", text))?;
        let family = family(&held.rules, &id, self.service.now());
        Ok(Response::new(proto::GetVendorResponse {
            vendor: Some(write_vendor(vendor)),
            family: family.vendors.iter().map(|vendor| write_vendor(vendor)).collect(),
            products: family.products.iter().map(|product| write_product(product)).collect(),
            offers: family.offers.iter().map(|offer| write_offer(offer)).collect(),
        }))
    }

    async fn get_product(
        &self,
        request: Request<proto::GetProductRequest>,
    ) -> Result<Response<proto::GetProductResponse>, Status> {
        let text = &request.get_ref().id;
        let id = id(text, ProductId::parse)?;
        let held = self.rules()?;
        let rules = &held.rules;
        let product = rules.products.get(&id).ok_or_else(|| none("product", text))?;
        let vendors = product.vendors.iter().filter_map(|vendor| rules.vendors.get(vendor));
        let offers = rules.offers.values().filter(|offer| offer.product == id);
        Ok(Response::new(proto::GetProductResponse {
            product: Some(write_product(product)),
            vendors: vendors.map(|vendor| write_vendor(vendor)).collect(),
            offers: offers.map(|offer| write_offer(offer)).collect(),
        }))
    }

    async fn get_offer(
        &self,
        request: Request<proto::GetOfferRequest>,
    ) -> Result<Response<proto::GetOfferResponse>, Status> {
        let text = &request.get_ref().id;
        let id = id(text, OfferId::parse)?;
        let held = self.rules()?;
        let rules = &held.rules;
        let offer = rules.offers.get(&id).ok_or_else(|| none("offer", text))?;
        Ok(Response::new(proto::GetOfferResponse {
            offer: Some(write_offer(offer)),
            product: rules.products.get(&offer.product).map(|product| write_product(product)),
        }))
    }

    async fn list_offers(
        &self,
        request: Request<proto::ListOffersRequest>,
    ) -> Result<Response<proto::ListOffersResponse>, Status> {
        let message = request.get_ref();
        let after = paging::token(&message.page_token, |text| OfferId::parse(text).ok());
        let (size, after) =
            both(paging::size(message.page_size), after).map_err(|errors| invalid(&errors))?;
        let held = self.rules()?;
        let of_product =
            |product: &ProductId| message.product.is_empty() || message.product == product.as_str();
        let after = |id: &OfferId| after.as_ref().is_none_or(|after| after < id);
        let left = held.rules.offers.values();
        let left = left.filter(|offer| after(&offer.id) && of_product(&offer.product));
        let (offers, next_page_token) =
            paging::cut(left, size, |last| last.id.to_string(), |offer| write_offer(offer));
        Ok(Response::new(proto::ListOffersResponse { offers, next_page_token }))
    }
}

fn id<T, E: std::fmt::Display>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Status> {
    parse(text).map_err(|error| invalid(&FieldErrors::one("id", error)))
}

fn query(text: &str) -> Result<(), FieldErrors> {
    if text.trim().is_empty() || MOST_QUERY < text.len() {
        let what = format!("is required: 1 to {MOST_QUERY} bytes of a name");
        return Err(FieldErrors::one("query", what));
    }
    Ok(())
}

fn write_match(found: &Match) -> proto::SearchResult {
    use proto::search_result::Found as Written;
    let thing = match &found.found {
        Found::Vendor(vendor) => Written::Vendor(write_vendor(vendor)),
        Found::Product(product) => Written::Product(write_product(product)),
        Found::Offer(offer) => Written::Offer(write_offer(offer)),
    };
    proto::SearchResult { found: Some(thing), matched: found.matched.clone() }
}
