//! `TravelAPI`: flights, cards and bookings.

use super::backend::{Backend, Default, given, tools};
use super::date::{Day, strptime};
use super::extension::Extension;
use super::fares::{AIRPORTS, CITIES, RATES, ROUTES};
use super::operate::{
    add, contains, dict, div, error, field, float, is, item, iterate, lt, mapping, mapping_mut, mul, remove, string,
    sub, texts,
};
use super::raise::{Kind, Outcome, Raised};
use super::random::Random;
use hone_python::{Dict, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// The class's state.
#[derive(Clone)]
pub(super) struct Travel {
    credit_card_list: Value,
    booking_record: Value,
    access_token: Value,
    token_type: Value,
    token_expires_in: Value,
    token_scope: Value,
    user_first_name: Value,
    user_last_name: Value,
    budget_limit: Value,
    today: Day,
    random: Random,
    extension: Option<Arc<Extension>>,
}

impl Travel {
    pub fn load(scenario: &Value, seed: Option<i64>, today: Day, extension: Option<&Arc<Extension>>) -> Outcome<Self> {
        let of = |name: &str| given(scenario, name, || Value::None);
        let mut made = Self {
            credit_card_list: given(scenario, "credit_card_list", || dict! {}),
            booking_record: given(scenario, "booking_record", || dict! {}),
            access_token: of("access_token"),
            token_type: of("token_type"),
            token_expires_in: of("token_expires_in"),
            token_scope: of("token_scope"),
            user_first_name: of("user_first_name"),
            user_last_name: of("user_last_name"),
            budget_limit: of("budget_limit"),
            today,
            random: Random::new(seed.unwrap_or(141_053)),
            extension: extension.cloned(),
        };
        if let Some(extension) = extension {
            for (into, name) in [
                (&mut made.credit_card_list, "CREDIT_CARD_EXTENSION"),
                (&mut made.booking_record, "BOOKING_RECORD_EXTENSION"),
            ] {
                let into = mapping_mut(into, "items")?;
                for (key, entry) in mapping(extension.get(name), "items")?.iter() {
                    if into.lookup(key)?.is_none() {
                        into.insert(key.clone(), entry.clone())?;
                    }
                }
            }
        }
        Ok(made)
    }

    /// What is wrong with the session: the token has expired, or it is another.
    fn refusal(&self, token: &Value) -> Option<&'static str> {
        if self.token_expires_in == 0.into() {
            Some("Token expired")
        } else if *token != self.access_token {
            Some("Invalid access token")
        } else {
            None
        }
    }

    fn drawn(&mut self, low: i64, high: i64) -> String {
        self.random.between(low, high).to_string()
    }

    fn booked(&self, id: &Value) -> Outcome<bool> {
        contains(&self.booking_record, id)
    }

    fn balance(&mut self, card: &Value) -> Outcome<&mut Value> {
        let cards = mapping_mut(&mut self.credit_card_list, "items")?;
        cards.lookup(card)?;
        let found = cards.iter_mut().find(|(key, _)| *key == card).map(|(_, card)| card);
        super::operate::item_mut(found.ok_or_else(|| Raised::key(card))?, "balance")
    }

    fn authenticate_travel(
        &mut self,
        _client_id: Value,
        _client_secret: Value,
        _refresh_token: Value,
        grant_type: Value,
        first_name: Value,
        last_name: Value,
    ) -> Outcome {
        self.token_expires_in = 2.into();
        self.access_token = self.drawn(100_000, 999_999).into();
        self.token_type = "Bearer".into();
        self.token_scope = grant_type.clone();
        self.user_first_name = first_name;
        self.user_last_name = last_name;
        Ok(dict! {
            "expires_in" => 2,
            "access_token" => self.access_token.clone(),
            "token_type" => "Bearer",
            "scope" => grant_type,
        })
    }

    fn travel_get_login_status(&mut self) -> Outcome {
        let out = self.token_expires_in.is_none() || self.token_expires_in == 0.into();
        Ok(dict! { "status" => !out })
    }

    fn get_budget_fiscal_year(&mut self, _last_modified_after: Value, _include_removed: Value) -> Outcome {
        Ok(dict! { "budget_fiscal_year" => "2018" })
    }

    fn register_credit_card(
        &mut self,
        access_token: Value,
        card_number: Value,
        expiration_date: Value,
        cardholder_name: Value,
        card_verification_number: Value,
    ) -> Outcome {
        if self.token_expires_in.is_none() {
            return error("Token not initialized");
        }
        if let Some(why) = self.refusal(&access_token) {
            return error(why);
        }
        if contains(&self.credit_card_list, &card_number)? {
            return error("Card already registered");
        }
        let id = self.drawn(100_000_000_000, 999_999_999_999);
        let card = dict! {
            "card_number" => card_number,
            "expiration_date" => expiration_date,
            "cardholder_name" => cardholder_name,
            "card_verification_number" => card_verification_number,
            "balance" => self.random.between(10_000, 99_999),
        };
        mapping_mut(&mut self.credit_card_list, "items")?.set(id.as_str(), card);
        Ok(dict! { "card_id" => id })
    }

    fn get_flight_cost(&mut self, from: Value, to: Value, date: Value, class: Value) -> Outcome {
        let (cost, factor) = fare(&from, &to, &date, &class)?;
        let costs = if self.extension.is_some() {
            let all = ROUTES.iter().flat_map(|(_, routes)| routes.iter());
            all.map(|(_, base)| f64::from(base * factor).into()).collect()
        } else {
            vec![cost.into()]
        };
        Ok(dict! { "travel_cost_list" => Value::List(costs) })
    }

    fn get_credit_card_balance(&mut self, access_token: Value, card_id: Value) -> Outcome {
        if let Some(why) = self.refusal(&access_token) {
            return error(why);
        }
        if !contains(&self.credit_card_list, &card_id)? {
            let known: Vec<_> = mapping(&self.credit_card_list, "keys")?.keys().cloned().collect();
            return error(format!(
                "Card not registered. Here are a list of card_id's: {}",
                Value::List(known)
            ));
        }
        Ok(dict! { "card_balance" => self.balance(&card_id)?.clone() })
    }

    fn book_flight(
        &mut self,
        access_token: Value,
        card_id: Value,
        travel_date: Value,
        travel_from: Value,
        travel_to: Value,
        travel_class: Value,
    ) -> Outcome {
        let failed = |why: String| Ok(dict! { "booking_status" => false, "error" => why });
        if let Some(why) = self.refusal(&access_token) {
            return failed(why.into());
        }
        if !contains(&self.credit_card_list, &card_id)? {
            return failed("Card not registered".into());
        }
        if !contains(item(&self.credit_card_list, &card_id)?, &"balance".into())? {
            return failed("Balance not found".into());
        }
        for (place, what) in [(&travel_from, "departure"), (&travel_to, "destination")] {
            if !AIRPORTS.iter().any(|airport| is(place, airport)) {
                return failed(format!("Invalid {what} airport code: {place}"));
            }
        }
        match strptime(&travel_date, false) {
            Err(e) if e.kind == Kind::Value => return failed("Invalid date format. Use YYYY-MM-DD.".into()),
            other => other?,
        };
        // As the original looks it up in a set.
        Dict::new().lookup(&travel_class)?;
        if !["economy", "business", "first"]
            .iter()
            .any(|class| is(&travel_class, class))
        {
            return failed("Invalid travel class. Must be one of {'economy', 'business', 'first'}".into());
        }
        let cost = match fare(&travel_from, &travel_to, &travel_date, &travel_class) {
            Err(e) if e.kind == Kind::Value => return failed(e.message),
            other => other?.0,
        };
        let balance = self.balance(&card_id)?.clone();
        if lt(&balance, cost)? {
            return failed("Insufficient funds".into());
        }
        if !self.budget_limit.is_none() && lt(&balance, self.budget_limit.clone())? {
            return failed("Balance is less than budget limit".into());
        }
        *self.balance(&card_id)? = sub(&balance, &cost.into())?;
        let booking_id = self.drawn(1_000_000, 9_999_999);
        let transaction_id = self.drawn(10_000_000, 99_999_999);
        let record = dict! {
            "card_id" => card_id,
            "travel_date" => travel_date,
            "travel_from" => travel_from,
            "travel_to" => travel_to,
            "travel_class" => travel_class,
            "travel_cost" => cost,
            "transaction_id" => transaction_id.as_str(),
        };
        mapping_mut(&mut self.booking_record, "items")?.set(booking_id.as_str(), record);
        let history = if self.extension.is_some() {
            self.booking_record.clone()
        } else {
            dict! {}
        };
        Ok(dict! {
            "booking_id" => booking_id,
            "transaction_id" => transaction_id,
            "booking_status" => true,
            "booking_history" => history,
        })
    }

    fn retrieve_invoice(&mut self, access_token: Value, booking_id: Value, _insurance_id: Value) -> Outcome {
        if let Some(why) = self.refusal(&access_token) {
            return error(why);
        }
        if !self.booked(&booking_id)? {
            return error("Booking not found");
        }
        let record = item(&self.booking_record, &booking_id)?;
        let mut invoice = Dict::new();
        invoice.set("booking_id", booking_id.clone());
        for name in [
            "travel_date",
            "travel_from",
            "travel_to",
            "travel_class",
            "travel_cost",
            "transaction_id",
        ] {
            invoice.set(name, field(record, name)?.clone());
        }
        Ok(dict! { "invoice" => invoice })
    }

    fn get_booking_history(&mut self, access_token: Value) -> Outcome {
        if let Some(why) = self.refusal(&access_token) {
            return error(why);
        }
        Ok(dict! { "booking_history" => self.booking_record.clone() })
    }

    fn list_all_airports(&mut self) -> Outcome {
        Ok(texts(AIRPORTS))
    }

    fn cancel_booking(&mut self, access_token: Value, booking_id: Value) -> Outcome {
        let failed = |why: &str| Ok(dict! { "cancel_status" => false, "error" => why });
        if let Some(why) = self.refusal(&access_token) {
            return failed(why);
        }
        if !self.booked(&booking_id)? {
            return failed("Booking not found");
        }
        let record = item(&self.booking_record, &booking_id)?;
        let card = field(record, "card_id")?.clone();
        let cost = field(record, "travel_cost")?.clone();
        let balance = self.balance(&card)?;
        *balance = add(balance, &cost)?;
        remove(mapping_mut(&mut self.booking_record, "items")?, &booking_id);
        Ok(dict! { "cancel_status" => true })
    }

    fn compute_exchange_rate(&mut self, base: Value, target: Value, value: Value) -> Outcome {
        for (from, to, rate, whole) in RATES {
            let rate = if *whole {
                Value::from(*rate as i64)
            } else {
                Value::from(*rate)
            };
            if is(&base, from) && is(&target, to) {
                return Ok(dict! { "exchanged_value" => float(&mul(&value, &rate)?)? });
            }
            if is(&base, to) && is(&target, from) {
                let exchanged = float(&div(&value, &rate)?)?;
                return Ok(dict! { "exchanged_value" => cents(exchanged) });
            }
        }
        Err(Raised::value("No available exchange rate for the given currencies."))
    }

    fn verify_traveler_information(
        &mut self,
        first_name: Value,
        last_name: Value,
        date_of_birth: Value,
        passport_number: Value,
    ) -> Outcome {
        let failed = |why: &str| Ok(dict! { "verification_status" => false, "verification_failure" => why });
        if self.user_first_name != first_name || self.user_last_name != last_name {
            return failed(&format!(
                "Cannot book flight information for another user.Expected {} {}, got {first_name} {last_name}",
                self.user_first_name, self.user_last_name
            ));
        }
        let [year, month, day, ..] = match strptime(&date_of_birth, false) {
            Err(e) if e.kind == Kind::Value => {
                return failed("Invalid date of birth format. Please use YYYY-MM-DD.");
            }
            other => other?,
        };
        let Day(this_year, this_month, this_day) = self.today;
        let before = i64::from((this_month, this_day) < (month, day));
        if i64::from(this_year) - i64::from(year) - before < 18 {
            return failed("Traveler must be at least 18 years old.");
        }
        if !string(&passport_number, "startswith")?.starts_with("US") {
            return failed("Passport must be issued by the United States.");
        }
        Ok(dict! { "verification_status" => true })
    }

    fn set_budget_limit(&mut self, access_token: Value, budget_limit: Value) -> Outcome {
        if let Some(why) = self.refusal(&access_token) {
            return error(why);
        }
        self.budget_limit = float(&budget_limit)?.into();
        Ok(dict! { "budget_limit" => self.budget_limit.clone() })
    }

    fn get_nearest_airport_by_city(&mut self, location: Value) -> Outcome {
        Dict::new().lookup(&location)?;
        let found = CITIES.iter().find(|(city, _)| is(&location, city));
        Ok(dict! { "nearest_airport" => found.map_or("Unknown", |(_, airport)| *airport) })
    }

    fn purchase_insurance(
        &mut self,
        access_token: Value,
        _insurance_type: Value,
        booking_id: Value,
        insurance_cost: Value,
        card_id: Value,
    ) -> Outcome {
        let failed = |why: &str| Ok(dict! { "insurance_status" => false, "error" => why });
        if let Some(why) = self.refusal(&access_token) {
            return failed(why);
        }
        if !self.budget_limit.is_none() && lt(&self.budget_limit, insurance_cost.clone())? {
            return failed("Exceeded budget limit");
        }
        if !self.booked(&booking_id)? {
            return failed("Booking not found");
        }
        if !contains(&self.credit_card_list, &card_id)? {
            return failed("Credit card not registered");
        }
        let balance = self.balance(&card_id)?;
        *balance = sub(balance, &insurance_cost)?;
        Ok(dict! { "insurance_id" => self.drawn(100_000_000, 999_999_999), "insurance_status" => true })
    }

    fn contact_customer_support(&mut self, booking_id: Value, _message: Value) -> Outcome {
        if !self.booked(&booking_id)? {
            return error("Booking not found");
        }
        Ok(dict! {
            "customer_support_message" =>
                "Thank you for contacting customer support. Your message has been received and we will get back to you \
                 shortly.",
        })
    }

    fn get_all_credit_cards(&mut self) -> Outcome {
        Ok(dict! { "credit_card_list" => self.credit_card_list.clone() })
    }
}

/// A flight's cost, and what its class and date multiply base costs with.
fn fare(from: &Value, to: &Value, date: &Value, class: &Value) -> Outcome<(f64, u32)> {
    Dict::new().lookup(&Value::Tuple(vec![from.clone(), to.clone()]))?;
    let routes = ROUTES.iter().filter(|(start, _)| is(from, start));
    let base = routes
        .flat_map(|(_, routes)| routes.iter())
        .find(|(end, _)| is(to, end));
    let (_, base) = base.ok_or_else(|| Raised::value("No available route for the given airports."))?;
    let factor = match class.as_str() {
        Some("economy") => 1,
        Some("business") => 2,
        Some("first") => 5,
        _ => {
            return Err(Raised::value(
                "Invalid travel class. Options are: economy, business, first.",
            ));
        }
    };
    let mut odd = false;
    for part in iterate(date)? {
        let text = string(&part, "isdigit")?;
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
            odd ^= text.bytes().last().is_some_and(|digit| digit % 2 == 1);
        }
    }
    let factor = if odd { factor } else { 2 * factor };
    Ok((f64::from(base * factor), factor))
}

/// `round(value, 2)`
fn cents(value: f64) -> f64 {
    if value.is_finite() {
        format!("{value:.2}").parse().unwrap_or(value)
    } else {
        value
    }
}

impl Backend for Travel {
    tools! {
        "TravelAPI",
        authenticate_travel(client_id, client_secret, refresh_token, grant_type, user_first_name, user_last_name),
        travel_get_login_status(),
        get_budget_fiscal_year(lastModifiedAfter = Default::None, includeRemoved = Default::None),
        register_credit_card(access_token, card_number, expiration_date, cardholder_name, card_verification_number),
        get_flight_cost(travel_from, travel_to, travel_date, travel_class),
        get_credit_card_balance(access_token, card_id),
        book_flight(access_token, card_id, travel_date, travel_from, travel_to, travel_class),
        retrieve_invoice(access_token, booking_id = Default::None, insurance_id = Default::None),
        get_booking_history(access_token),
        list_all_airports(),
        cancel_booking(access_token, booking_id),
        compute_exchange_rate(base_currency, target_currency, value),
        verify_traveler_information(first_name, last_name, date_of_birth, passport_number),
        set_budget_limit(access_token, budget_limit),
        get_nearest_airport_by_city(location),
        purchase_insurance(access_token, insurance_type, booking_id, insurance_cost, card_id),
        contact_customer_support(booking_id, message),
        get_all_credit_cards(),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("credit_card_list", Cow::Borrowed(&self.credit_card_list)),
            ("booking_record", Cow::Borrowed(&self.booking_record)),
            ("access_token", Cow::Borrowed(&self.access_token)),
            ("token_type", Cow::Borrowed(&self.token_type)),
            ("token_expires_in", Cow::Borrowed(&self.token_expires_in)),
            ("token_scope", Cow::Borrowed(&self.token_scope)),
            ("user_first_name", Cow::Borrowed(&self.user_first_name)),
            ("user_last_name", Cow::Borrowed(&self.user_last_name)),
            ("budget_limit", Cow::Borrowed(&self.budget_limit)),
            ("long_context", Cow::Owned(self.extension.is_some().into())),
        ]
    }
}
