//! `TradingBot`: a broker's account.

use super::backend::{Backend, Default, given, tools};
use super::date::{ALWAYS, strptime};
use super::extension::Extension;
use super::operate::{
    add, contains, dict, error, field, float, ge, gt, int, is, item, item_mut, iterate, join, le, lt, mapping,
    mapping_mut, number, sequence_mut, string, sub, texts, two_places,
};
use super::raise::{Outcome, Raised};
use super::random::Random;
use hone_python::{Dict, Value, text};
use std::borrow::Cow;
use std::sync::Arc;

/// The class's state.
#[derive(Clone)]
pub(super) struct Trading {
    orders: Value,
    account_info: Value,
    authenticated: Value,
    market_status: Value,
    order_counter: Value,
    stocks: Value,
    watch_list: Value,
    transaction_history: Value,
    random: Random,
    extension: Option<Arc<Extension>>,
}

const SYMBOLS: [(&str, &str); 13] = [
    ("Apple", "AAPL"),
    ("Google", "GOOG"),
    ("Tesla", "TSLA"),
    ("Microsoft", "MSFT"),
    ("Nvidia", "NVDA"),
    ("Zeta Corp", "ZETA"),
    ("Alpha Tech", "ALPH"),
    ("Omega Industries", "OMEG"),
    ("Quasar Ltd.", "QUAS"),
    ("Neptune Systems", "NEPT"),
    ("Synex Solutions", "SYNX"),
    ("Amazon", "AMZN"),
    ("Gorilla", "GORI"),
];

/// Symbol, price, change in percent, volume, moving averages over 5 and 20 days.
const STOCKS: [(&str, f64, f64, f64, f64, f64); 11] = [
    ("AAPL", 227.16, 0.17, 2.552, 227.11, 227.09),
    ("GOOG", 2840.34, 0.24, 1.123, 2835.67, 2842.15),
    ("TSLA", 667.92, -0.12, 1.654, 671.15, 668.20),
    ("MSFT", 310.23, 0.09, 3.234, 309.88, 310.11),
    ("NVDA", 220.34, 0.34, 1.234, 220.45, 220.67),
    ("ALPH", 1320.45, -0.08, 1.567, 1321.12, 1325.78),
    ("OMEG", 457.23, 0.12, 2.345, 456.78, 458.12),
    ("QUAS", 725.89, -0.03, 1.789, 726.45, 728.00),
    ("NEPT", 88.34, 0.19, 0.654, 88.21, 88.67),
    ("SYNX", 345.67, 0.11, 2.112, 345.34, 346.12),
    ("ZETA", 22.09, -0.05, 0.789, 22.12, 22.34),
];

fn order(id: &Value, kind: &Value, symbol: &Value, price: f64, amount: &Value, status: &str) -> Value {
    dict! {
        "id" => id.clone(),
        "order_type" => kind.clone(),
        "symbol" => symbol.clone(),
        "price" => price,
        "amount" => amount.clone(),
        "status" => status,
    }
}

fn default_orders() -> Value {
    let mut orders = Dict::new();
    let entries = [
        (12345, "Buy", "AAPL", 210.65, 10, "Completed"),
        (12446, "Sell", "GOOG", 2840.56, 5, "Pending"),
    ];
    for (id, kind, symbol, price, amount, status) in entries {
        let entry = order(&id.into(), &kind.into(), &symbol.into(), price, &amount.into(), status);
        // A number is a key.
        let _ = orders.insert(id.into(), entry);
    }
    orders.into()
}

fn default_stocks() -> Value {
    let entry = |(symbol, price, change, volume, ma5, ma20): &(&str, f64, f64, f64, f64, f64)| {
        let stock = dict! {
            "price" => *price, "percent_change" => *change, "volume" => *volume, "MA(5)" => *ma5, "MA(20)" => *ma20,
        };
        ((*symbol).to_owned(), stock)
    };
    Value::Dict(STOCKS.iter().map(entry).collect())
}

const DEFAULT_ACCOUNT: [(&str, i64); 2] = [("account_id", 12345), ("binding_card", 1_974_202_140_965_533)];

impl Trading {
    pub fn load(scenario: &Value, seed: Option<i64>, extension: Option<&Arc<Extension>>) -> Outcome<Self> {
        let mut orders = Dict::new();
        for (key, entry) in mapping(&given(scenario, "orders", default_orders), "items")?.iter() {
            let number = key
                .as_str()
                .filter(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()));
            let key = number.and_then(text::int).map_or_else(|| key.clone(), Value::Int);
            orders.insert(key, entry.clone())?;
        }
        let account = || {
            dict! {
                "account_id" => DEFAULT_ACCOUNT[0].1, "balance" => 10000.0, "binding_card" => DEFAULT_ACCOUNT[1].1,
            }
        };
        Ok(Self {
            orders: orders.into(),
            account_info: given(scenario, "account_info", account),
            authenticated: given(scenario, "authenticated", || false.into()),
            market_status: given(scenario, "market_status", || "Closed".into()),
            order_counter: given(scenario, "order_counter", || 12446.into()),
            stocks: given(scenario, "stocks", default_stocks),
            watch_list: given(scenario, "watch_list", || texts(&["NVDA"])),
            transaction_history: given(scenario, "transaction_history", || Value::List(vec![])),
            random: Random::new(seed.unwrap_or(1_053_520)),
            extension: extension.cloned(),
        })
    }

    /// A moment within the day from 2024-09-01 10:30 on.
    fn timestamp(&mut self) -> String {
        let seconds = 37_800 + self.random.between(0, 86_400);
        let (day, second) = (1 + seconds / 86_400, seconds % 86_400);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        format!("2024-09-{day:02} {hour:02}:{minute:02}:{:02}", second % 60)
    }

    fn get_current_time(&mut self) -> Outcome {
        Ok(dict! { "current_time" => "10:30 AM" })
    }

    fn get_symbol_by_name(&mut self, name: Value) -> Outcome {
        let known: Dict = SYMBOLS.into_iter().collect();
        let found = known.lookup(&name)?.cloned();
        Ok(dict! { "symbol" => found.unwrap_or_else(|| "Stock not found".into()) })
    }

    fn get_stock_info(&mut self, symbol: Value) -> Outcome {
        if !contains(&self.stocks, &symbol)? {
            return error(format!("Stock with symbol '{symbol}' not found."));
        }
        let mut stock = item(&self.stocks, &symbol)?.clone();
        if let (Some(extension), Value::Dict(stock)) = (&self.extension, &mut stock) {
            stock.set("MA(5)", extension.get("MA_5_EXTENSION").clone());
            stock.set("MA(20)", extension.get("MA_20_EXTENSION").clone());
        }
        Ok(stock)
    }

    fn get_order_details(&mut self, order_id: Value) -> Outcome {
        if !contains(&self.orders, &order_id)? {
            let known: Vec<_> = mapping(&self.orders, "keys")?.keys().cloned().collect();
            return error(format!(
                "Order with ID {order_id} not found.Here is the list of orders_id: {}",
                Value::List(known)
            ));
        }
        let mut order = item(&self.orders, &order_id)?.clone();
        if let Some(extension) = &self.extension {
            let symbol = field(&order, "symbol")?.to_string();
            let mut metadata = Dict::new();
            for (name, template) in mapping(extension.get("ORDER_DETAIL_EXTENSION"), "items")?.iter() {
                metadata.insert(name.clone(), template.to_string().replace("{symbol}", &symbol).into())?;
            }
            mapping_mut(&mut order, "copy")?.set("metadata", metadata);
        }
        Ok(order)
    }

    fn cancel_order(&mut self, order_id: Value) -> Outcome {
        if !contains(&self.orders, &order_id)? {
            return error(format!("Order with ID {order_id} not found."));
        }
        if is(field(item(&self.orders, &order_id)?, "status")?, "Completed") {
            return error(format!("Can't cancel order {order_id}. Order is already completed."));
        }
        let orders = mapping_mut(&mut self.orders, "keys")?;
        if let Some((_, Value::Dict(order))) = orders.iter_mut().find(|(key, _)| **key == order_id) {
            order.set("status", "Cancelled");
        }
        Ok(dict! { "order_id" => order_id, "status" => "Cancelled" })
    }

    fn place_order(&mut self, order_type: Value, symbol: Value, price: Value, amount: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please log in to place an order.");
        }
        if !contains(&self.stocks, &symbol)? {
            return error(format!("Invalid stock symbol: {symbol}"));
        }
        if le(&price, 0)? || le(&amount, 0)? {
            return error("Price and amount must be positive values.");
        }
        if string(&order_type, "lower")?.to_lowercase() == "buy" {
            let cost = super::operate::mul(&float(&price)?.into(), &int(&amount)?.into())?;
            let balance = mapping(&self.account_info, "get")?.get("balance").cloned();
            let balance = balance.unwrap_or_else(|| 0.into());
            if gt(&cost, balance.clone())? {
                return error(format!(
                    "Insufficient funds: required ${} but only ${} available.",
                    two_places(&cost)?,
                    two_places(&balance)?
                ));
            }
        }
        let price = float(&price)?;
        let id = self.order_counter.clone();
        let entry = order(&id, &order_type, &symbol, price, &amount, "Open");
        mapping_mut(&mut self.orders, "keys")?.insert(id.clone(), entry)?;
        self.order_counter = add(&id, &1.into())?;
        Ok(dict! {
            "order_id" => id,
            "order_type" => order_type,
            "status" => "Pending",
            "price" => price,
            "amount" => amount,
        })
    }

    fn record(&mut self, kind: &str, amount: Value) -> Outcome<()> {
        let timestamp = self.timestamp();
        let entry = dict! { "type" => kind, "amount" => amount, "timestamp" => timestamp };
        sequence_mut(&mut self.transaction_history, "append")?.push(entry);
        Ok(())
    }

    fn withdraw_funds(&mut self, amount: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please log in to make a transaction.");
        }
        if !is(&self.market_status, "Open") {
            return error("Market is closed. Transactions are not allowed.");
        }
        if le(&amount, 0)? {
            return error("Transaction amount must be positive.");
        }
        let balance = item_mut(&mut self.account_info, "balance")?;
        if gt(&amount, balance.clone())? {
            return error("Insufficient funds for withdrawal.");
        }
        let rest = sub(balance, &amount)?;
        *balance = rest.clone();
        self.record("withdrawal", amount)?;
        Ok(dict! { "status" => "Withdrawal successful", "new_balance" => rest })
    }

    fn get_account_info(&mut self) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please log in to view account information.");
        }
        Ok(self.account_info.clone())
    }

    fn trading_login(&mut self, _username: Value, _password: Value) -> Outcome {
        if self.authenticated.truthy() {
            return Ok(dict! { "status" => "Already logged in" });
        }
        self.authenticated = true.into();
        Ok(dict! { "status" => "Logged in successfully" })
    }

    fn trading_get_login_status(&mut self) -> Outcome {
        Ok(dict! { "status" => self.authenticated.truthy() })
    }

    fn trading_logout(&mut self) -> Outcome {
        if !self.authenticated.truthy() {
            return Ok(dict! { "status" => "No user is currently logged in" });
        }
        self.authenticated = false.into();
        Ok(dict! { "status" => "Logged out successfully" })
    }

    fn fund_account(&mut self, amount: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please log in to fund the account.");
        }
        if le(&amount, 0)? {
            return error("Funding amount must be positive.");
        }
        let balance = item_mut(&mut self.account_info, "balance")?;
        let sum = add(balance, &amount)?;
        *balance = sum.clone();
        self.record("deposit", amount)?;
        Ok(dict! { "status" => "Account funded successfully", "new_balance" => sum })
    }

    fn remove_stock_from_watchlist(&mut self, symbol: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return error("User not authenticated. Please log in to modify the watchlist.");
        }
        if !contains(&self.watch_list, &symbol)? {
            return error(format!("Stock {symbol} not found in watchlist."));
        }
        let list = sequence_mut(&mut self.watch_list, "remove")?;
        if let Some(at) = list.iter().position(|listed| *listed == symbol) {
            list.remove(at);
        }
        Ok(dict! { "status" => format!("Stock {symbol} removed from watchlist successfully.") })
    }

    fn get_watchlist(&mut self) -> Outcome {
        if !self.authenticated.truthy() {
            return Ok(texts(&[
                "Error: User not authenticated. Please log in to view the watchlist.",
            ]));
        }
        match &self.extension {
            Some(extension) => add(&self.watch_list, extension.get("WATCH_LIST_EXTENSION")),
            None => Ok(dict! { "watchlist" => self.watch_list.clone() }),
        }
    }

    fn get_order_history(&mut self) -> Outcome {
        if !self.authenticated.truthy() {
            return Ok(Value::List(vec![error(
                "User not authenticated. Please log in to view order history.",
            )?]));
        }
        let ids: Vec<_> = mapping(&self.orders, "keys")?.keys().cloned().collect();
        Ok(dict! { "history" => Value::List(ids) })
    }

    fn get_transaction_history(&mut self, start_date: Value, end_date: Value) -> Outcome {
        if !self.authenticated.truthy() {
            return Ok(Value::List(vec![error(
                "User not authenticated. Please log in to view transaction history.",
            )?]));
        }
        let start = if start_date.truthy() {
            strptime(&start_date, false)?
        } else {
            ALWAYS.0
        };
        let end = if end_date.truthy() {
            strptime(&end_date, false)?
        } else {
            ALWAYS.1
        };
        let mut within = vec![];
        for transaction in iterate(&self.transaction_history)? {
            let at = strptime(field(&transaction, "timestamp")?, true)?;
            if (start..=end).contains(&at) {
                within.push(transaction);
            }
        }
        if let Some(extension) = &self.extension {
            within.extend(iterate(extension.get("TRANSACTION_HISTORY_EXTENSION"))?);
        }
        Ok(dict! { "transaction_history" => Value::List(within) })
    }

    fn get_available_stocks(&mut self, sector: Value) -> Outcome {
        let mut sectors: Dict = [
            ("Technology", texts(&["AAPL", "GOOG", "MSFT", "NVDA"])),
            ("Automobile", texts(&["TSLA", "F", "GM"])),
        ]
        .into_iter()
        .collect();
        if let Some(extension) = &self.extension {
            for (sector, more) in [
                ("Technology", "TECHNOLOGY_EXTENSION"),
                ("Automobile", "AUTOMOBILE_EXTENSION"),
            ] {
                if let Some(Value::List(list)) = sectors.get_mut(sector) {
                    list.extend(iterate(extension.get(more))?);
                }
            }
        }
        let found = sectors.lookup(&sector)?.cloned();
        Ok(dict! { "stock_list" => found.unwrap_or_else(|| Value::List(vec![])) })
    }

    fn filter_stocks_by_price(&mut self, stocks: Value, min_price: Value, max_price: Value) -> Outcome {
        let mut filtered = vec![];
        for symbol in iterate(&stocks)? {
            let price = match mapping(&self.stocks, "get")?.lookup(&symbol)? {
                Some(stock) => mapping(stock, "get")?.get("price").cloned(),
                None => None,
            };
            let price = price.unwrap_or_else(|| 0.into());
            if ge(&price, min_price.clone())? && le(&price, max_price.clone())? {
                filtered.push(symbol);
            }
        }
        Ok(dict! { "filtered_stocks" => Value::List(filtered) })
    }

    fn add_to_watchlist(&mut self, stock: Value) -> Outcome {
        if !contains(&self.watch_list, &stock)? && contains(&self.stocks, &stock)? {
            sequence_mut(&mut self.watch_list, "append")?.push(stock);
        }
        Ok(dict! { "watchlist" => self.watch_list.clone() })
    }

    fn notify_price_change(&mut self, stocks: Value, threshold: Value) -> Outcome {
        let mut changed = vec![];
        for symbol in iterate(&stocks)? {
            if !contains(&self.stocks, &symbol)? {
                continue;
            }
            let change = field(item(&self.stocks, &symbol)?, "percent_change")?;
            if ge(&absolute(change)?, threshold.clone())? {
                changed.push(symbol);
            }
        }
        if changed.is_empty() {
            return Ok(dict! { "notification" => "No significant price changes in the selected stocks." });
        }
        let names = join(", ", &changed)?;
        Ok(dict! { "notification" => format!("Stocks {names} have significant price changes.") })
    }
}

/// `abs(value)`
pub(super) fn absolute(value: &Value) -> Outcome {
    match value {
        Value::Float(x) => Ok(x.abs().into()),
        v if number(v) => {
            if lt(v, 0)? {
                sub(&0.into(), v)
            } else {
                Ok(v.integer().map_or(Value::None, Value::Int))
            }
        }
        other => Err(Raised::types(format!(
            "bad operand type for abs(): '{}'",
            other.type_name()
        ))),
    }
}

impl Backend for Trading {
    tools! {
        "TradingBot",
        get_current_time(),
        get_symbol_by_name(name),
        get_stock_info(symbol),
        get_order_details(order_id),
        cancel_order(order_id),
        place_order(order_type, symbol, price, amount),
        withdraw_funds(amount),
        get_account_info(),
        trading_login(username, password),
        trading_get_login_status(),
        trading_logout(),
        fund_account(amount),
        remove_stock_from_watchlist(symbol),
        get_watchlist(),
        get_order_history(),
        get_transaction_history(start_date = Default::None, end_date = Default::None),
        get_available_stocks(sector),
        filter_stocks_by_price(stocks, min_price, max_price),
        add_to_watchlist(stock),
        notify_price_change(stocks, threshold),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        vec![
            ("orders", Cow::Borrowed(&self.orders)),
            ("account_info", Cow::Borrowed(&self.account_info)),
            ("authenticated", Cow::Borrowed(&self.authenticated)),
            ("market_status", Cow::Borrowed(&self.market_status)),
            ("order_counter", Cow::Borrowed(&self.order_counter)),
            ("stocks", Cow::Borrowed(&self.stocks)),
            ("watch_list", Cow::Borrowed(&self.watch_list)),
            ("transaction_history", Cow::Borrowed(&self.transaction_history)),
            ("long_context", Cow::Owned(self.extension.is_some().into())),
        ]
    }
}
