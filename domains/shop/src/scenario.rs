//! From a split and a seed to a store, a request, and what has to come of it.

use crate::policy::{Facts, Outcome, RETURN_WINDOW, Step, decide};
use crate::store::{Customer, Order, Product, Status, Store};
use crate::wording;
use crate::words::{COLORS, ITEMS, customer_id, items, order_id, person, street};
use hone_env::Split;
use hone_model::{CallRequest, Message};
use hone_trace::Stream;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

/// What a customer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Call an order off.
    Cancel,
    /// Send it to another street.
    Address,
    /// Have the money back.
    Refund,
    /// Have it in another color.
    Exchange,
    /// Know where it is.
    Status,
    /// Call it off if it is still here, else know where it is.
    CancelElseStatus,
    /// Have it in another color, or the money back if that color is gone.
    ExchangeElseRefund,
}

impl Intent {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Cancel,
        Self::Address,
        Self::Refund,
        Self::Exchange,
        Self::Status,
        Self::CancelElseStatus,
        Self::ExchangeElseRefund,
    ];

    /// Name, as in a task's kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Address => "address",
            Self::Refund => "refund",
            Self::Exchange => "exchange",
            Self::Status => "status",
            Self::CancelElseStatus => "cancel_else_status",
            Self::ExchangeElseRefund => "exchange_else_refund",
        }
    }

    /// How often it is asked for. The two that can end in a mere answer are rarer, so that no single answer given
    /// without looking is right in more than a few percent of the tasks.
    fn weight(self) -> u32 {
        if matches!(self, Self::Status | Self::CancelElseStatus) {
            1
        } else {
            2
        }
    }

    /// What can come of it, with weights: close to uniform, so that no fixed plan gets far.
    pub fn cases(self) -> &'static [(Case, u32)] {
        use Case::*;
        match self {
            Self::Cancel | Self::Address => &[
                (Done, 22),
                (Shipped, 22),
                (Delivered, 22),
                (Cancelled, 22),
                (Unknown, 12),
            ],
            Self::Refund => &[(Done, 22), (Pending, 22), (Shipped, 22), (Late, 22), (Unknown, 12)],
            Self::Exchange | Self::ExchangeElseRefund => &[
                (Done, 22),
                (Pending, 11),
                (Shipped, 11),
                (Late, 22),
                (Gone, 22),
                (Unknown, 12),
            ],
            Self::Status => &[
                (Pending, 22),
                (Shipped, 22),
                (Delivered, 22),
                (Cancelled, 22),
                (Unknown, 12),
            ],
            Self::CancelElseStatus => &[
                (Done, 28),
                (Shipped, 20),
                (Delivered, 20),
                (Cancelled, 20),
                (Unknown, 12),
            ],
        }
    }

    /// The ways in which its customers say who they are. A mere answer about an order whose id is given would take a
    /// single call, so those two intents come with a name or an address.
    pub fn ways(self) -> &'static [Who] {
        match self {
            Self::Status | Self::CancelElseStatus => &[Who::Name, Who::Email],
            _ => &[Who::Name, Who::Email, Who::Order],
        }
    }
}

/// The state that a task's order is in, and with it the branch that policy takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// The wish can be granted.
    Done,
    /// Still in the store.
    Pending,
    /// On its way.
    Shipped,
    /// Delivered, any time ago.
    Delivered,
    /// Called off before.
    Cancelled,
    /// Delivered too long ago.
    Late,
    /// Returnable, but the wanted color is gone.
    Gone,
    /// No such customer or order.
    Unknown,
}

impl Case {
    /// Name, as in a task's kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Late => "late",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }
}

/// How the order is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// By the customer's name.
    Name,
    /// By the customer's e-mail address.
    Email,
    /// By the order's id.
    Order,
}

impl Who {
    /// Name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Order => "order",
        }
    }
}

/// What a customer may keep back until asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Name, e-mail address or order id, whichever the request has.
    Who,
    /// The wanted color.
    Color,
    /// The new street.
    Street,
}

impl Fact {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Who, Self::Color, Self::Street];
}

/// What a request says, and nothing that it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The wish.
    pub intent: Intent,
    /// Customer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Customer's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Order id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Wanted color.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// New street.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
}

impl Request {
    /// What it says of a fact; of who the customer is, what the order is to be found by.
    pub fn value(&self, fact: Fact) -> Option<&str> {
        let value = match fact {
            Fact::Who => self.name.as_ref().or(self.email.as_ref()).or(self.order.as_ref()),
            Fact::Color => self.color.as_ref(),
            Fact::Street => self.street.as_ref(),
        };
        value.map(String::as_str)
    }

    /// The same without some facts.
    pub fn without(&self, facts: &[Fact]) -> Self {
        let mut request = self.clone();
        for fact in facts {
            match fact {
                Fact::Who => (request.name, request.email, request.order) = (None, None, None),
                Fact::Color => request.color = None,
                Fact::Street => request.street = None,
            }
        }
        request
    }

    /// How the order is to be found.
    pub fn who(&self) -> Who {
        match (&self.name, &self.email) {
            (Some(_), _) => Who::Name,
            (None, Some(_)) => Who::Email,
            (None, None) => Who::Order,
        }
    }
}

/// A store and a request to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The branch.
    pub case: Case,
    /// What is said.
    pub request: Request,
    /// How it is said.
    pub instruction: String,
    /// The state at the start.
    pub store: Store,
}

/// What has to come of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The steps that policy asks for, the answer included.
    pub steps: Vec<Step>,
    /// Hash of the state after them.
    pub state: String,
    /// The answer.
    pub outcome: Outcome,
}

fn weighted<T: Copy>(choices: &[(T, u32)], rng: &mut Stream) -> T {
    let total = choices.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..total);
    for (choice, weight) in choices {
        if at < *weight {
            return *choice;
        }
        at -= weight;
    }
    unreachable!("the weights sum to more than the draw")
}

/// Draw until there are `count` different ones.
fn distinct<T: PartialEq>(count: usize, mut draw: impl FnMut() -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let one = draw();
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

impl Scenario {
    /// The scenario of that seed: 2 or 3 customers with 1 to 3 orders each, and one request.
    pub fn generate(split: Split, seed: u64) -> Self {
        let mut rng = Stream::new(seed).named("shop/1").named(split.name());
        let rng = &mut rng;
        let intent = weighted(&Intent::ALL.map(|intent| (intent, intent.weight())), rng);
        let case = weighted(intent.cases(), rng);
        let who = intent.ways().choose(rng).copied().unwrap_or(Who::Name);
        let sold = items(split, &format!("{}/{}", intent.name(), who.name()));
        let item = sold.choose(rng).copied().unwrap_or(ITEMS[0]);

        let count = rng.random_range(2..=3);
        let mut people = distinct(count + 1, || person(split, rng));
        let stranger = people.pop().unwrap_or_default();
        let customers: Vec<Customer> = (distinct(count, || customer_id(split, rng)).into_iter().zip(people))
            .map(|(id, (name, email))| Customer {
                id,
                name,
                email,
                credit: 0,
            })
            .collect();
        let target = rng.random_range(0..count);

        let mut bought: Vec<(usize, &'static str)> = Vec::new();
        for customer in 0..count {
            let mut own = ITEMS.to_vec();
            own.shuffle(rng);
            own.truncate(rng.random_range(1..=3));
            if customer == target && !own.contains(&item) {
                own[0] = item;
            }
            bought.extend(own.into_iter().map(|item| (customer, item)));
        }
        let mut ids = distinct(bought.len() + 1, || order_id(split, rng));
        let nowhere = ids.pop().unwrap_or_default();
        let mut orders: Vec<Order> = (ids.into_iter().zip(bought))
            .map(|(id, (owner, item))| {
                let (status, days) = circumstances(Case::Delivered, intent, rng);
                let any = [Status::Pending, Status::Shipped, Status::Delivered, Status::Cancelled];
                let status = any.choose(rng).copied().unwrap_or(status);
                Order {
                    id,
                    customer: customers[owner].id.clone(),
                    item,
                    color: rng.random_range(0..COLORS.len()),
                    street: street(split, rng),
                    price: rng.random_range(5..=95),
                    status,
                    days: if status == Status::Delivered { days } else { 0 },
                    note: None,
                }
            })
            .collect();
        let mut kinds: Vec<&'static str> = orders.iter().map(|order| order.item).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut shelf = || {
            if rng.random_bool(0.3) {
                0
            } else {
                rng.random_range(1..=9)
            }
        };
        let mut products: Vec<Product> = kinds
            .into_iter()
            .map(|item| Product {
                item,
                stock: std::array::from_fn(|_| shelf()),
            })
            .collect();

        let wanted = rng.random_range(0..COLORS.len());
        let owner = &customers[target];
        let meant = orders
            .iter_mut()
            .find(|order| order.customer == owner.id && order.item == item);
        let meant = meant.expect("the target customer bought the item");
        (meant.status, meant.days) = circumstances(case, intent, rng);
        if meant.color == wanted {
            meant.color = (wanted + 1) % COLORS.len();
        }
        let shelf = products
            .iter_mut()
            .find(|product| product.item == item)
            .expect("every item bought is a product");
        match case {
            Case::Done => shelf.stock[wanted] = rng.random_range(1..=9),
            Case::Gone => shelf.stock[wanted] = 0,
            _ => {}
        }

        let unknown = case == Case::Unknown;
        let (name, email) = if unknown {
            &stranger
        } else {
            &(owner.name.clone(), owner.email.clone())
        };
        let request = Request {
            intent,
            name: (who == Who::Name).then(|| name.clone()),
            email: (who == Who::Email).then(|| email.clone()),
            order: (who == Who::Order).then(|| if unknown { nowhere } else { meant.id.clone() }),
            item: (who != Who::Order).then(|| item.to_owned()),
            color: matches!(intent, Intent::Exchange | Intent::ExchangeElseRefund).then(|| COLORS[wanted].to_owned()),
            street: (intent == Intent::Address).then(|| street(split, rng)),
        };
        let instruction = wording::phrase(split, &request, rng);
        let store = Store {
            customers,
            orders,
            products,
            tickets: Vec::new(),
        };
        Self {
            case,
            request,
            instruction,
            store,
        }
    }

    /// Let policy play on a copy of the store.
    pub fn solve(&self) -> Solution {
        let mut store = self.store.clone();
        let mut messages = vec![Message::User(self.instruction.clone())];
        let mut steps = Vec::new();
        loop {
            let facts = Facts::read(&self.request, &messages);
            let step = decide(&self.request, &facts);
            steps.push(step);
            match (
                step,
                step.turn(&self.request, &facts)
                    .expect("policy never asks for what it cannot know"),
            ) {
                (Step::Say(outcome), _) => {
                    return Solution {
                        steps,
                        state: store.hash(),
                        outcome,
                    };
                }
                (_, turn) => {
                    let mut answer = |call: &CallRequest| {
                        let result = store.call(&call.name, &call.arguments);
                        Message::Tool(result.map_or_else(|error| error.to_string(), |data| data.to_string()))
                    };
                    let answers: Vec<Message> = turn.calls().iter().map(&mut answer).collect();
                    messages.push(Message::Agent(turn));
                    messages.extend(answers);
                }
            }
        }
    }
}

/// Status and days since delivery that make the case.
fn circumstances(case: Case, intent: Intent, rng: &mut Stream) -> (Status, u8) {
    let returns = matches!(intent, Intent::Refund | Intent::Exchange | Intent::ExchangeElseRefund);
    let days = match case {
        Case::Late => RETURN_WINDOW + 1..=59,
        Case::Done | Case::Gone => 1..=RETURN_WINDOW,
        _ => 1..=59,
    };
    match case {
        Case::Done if !returns => (Status::Pending, 0),
        Case::Pending => (Status::Pending, 0),
        Case::Shipped => (Status::Shipped, 0),
        Case::Cancelled => (Status::Cancelled, 0),
        Case::Unknown | Case::Delivered | Case::Done | Case::Late | Case::Gone => {
            (Status::Delivered, rng.random_range(days))
        }
    }
}
