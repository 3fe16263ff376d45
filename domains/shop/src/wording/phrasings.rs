//! The wishes, in each split's own words. `{it}` becomes `my {item}`, `the {item}` or `order {id}`.

use crate::scenario::Intent;
use hone_env::Split;

/// The split's wordings of a wish.
pub(super) fn phrasings(split: Split, intent: Intent) -> &'static [&'static str] {
    let (train, validation, test) = match intent {
        Intent::Cancel => CANCEL,
        Intent::Address => ADDRESS,
        Intent::Refund => REFUND,
        Intent::Exchange => EXCHANGE,
        Intent::Status => STATUS,
        Intent::CancelElseStatus => CANCEL_ELSE_STATUS,
        Intent::ExchangeElseRefund => EXCHANGE_ELSE_REFUND,
    };
    match split {
        Split::Train => train,
        Split::Validation => validation,
        Split::Test => test,
    }
}

/// Training, validation, test.
type Wordings = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const CANCEL: Wordings = (
    &[
        "please cancel {it}",
        "i want to cancel {it} today",
        "can you cancel {it} for me",
        "cancel {it} right away",
        "i no longer need {it} so cancel it now",
        "call off {it} please",
        "please call {it} off for me",
        "i would like you to stop {it}",
        "stop {it} as i do not want it",
        "just drop {it} i changed my mind",
        "my mind changed and {it} should be cancelled",
        "forget about {it} and cancel it",
        "could {it} be called off now",
    ],
    &[
        "now i need {it} cancelled",
        "could you call off {it}",
        "you can call {it} off today",
        "so drop {it} for me",
        "you should stop {it} now",
        "today i would cancel {it}",
    ],
    &[
        "i would like {it} cancelled",
        "you can drop {it} now",
        "call {it} off right now",
        "stop {it} for me please",
        "i need to cancel {it}",
        "just forget {it} and drop it",
    ],
);

const ADDRESS: Wordings = (
    &[
        "please send {it} to {street} instead",
        "change the address of {it} to {street}",
        "i moved so deliver {it} to {street}",
        "{it} should go to {street} now",
        "redirect {it} to {street} please",
        "my new address is {street} so update {it}",
        "can you deliver {it} to {street} for me",
        "the delivery address for {it} is now {street}",
        "i live at {street} now please redirect {it}",
        "use {street} as the new address for {it}",
        "we moved house so send {it} over to {street}",
        "put {street} as the address on {it}",
        "i want {it} to go to my new home at {street}",
    ],
    &[
        "i moved to {street} please change {it}",
        "please redirect {it} and use {street}",
        "send {it} to my home at {street}",
        "the new address of {it} should be {street}",
        "deliver {it} at {street} now",
        "now i live at {street} so redirect {it}",
    ],
    &[
        "change {it} to the address {street}",
        "please use {street} for {it}",
        "my new address {street} is for {it}",
        "we live at {street} send {it} over",
        "put {it} on the new address {street}",
        "we moved to {street} so please deliver {it}",
    ],
);

const REFUND: Wordings = (
    &[
        "please refund {it}",
        "i want my money back for {it}",
        "can i get a refund for {it}",
        "give me my money back on {it} please",
        "i would like to return {it} for a refund",
        "{it} is not good so refund me",
        "return {it} and pay me back",
        "i am not happy with {it} and want a refund",
        "could you pay back {it}",
        "reimburse me for {it} please",
        "i need {it} to be reimbursed",
        "{it} broke so i want my money",
        "take {it} back and refund it",
    ],
    &[
        "refund {it} for me",
        "pay me back for {it}",
        "give the money for {it} back",
        "not happy so please refund {it}",
        "reimburse {it} please",
        "{it} broke can you refund me",
    ],
    &[
        "could you refund {it}",
        "i would like {it} reimbursed",
        "i need my money so take {it} back",
        "can you pay {it} back to me",
        "get me a refund on {it}",
        "i return {it} so give my money back",
    ],
);

const EXCHANGE: Wordings = (
    &[
        "please exchange {it} for a {color} one",
        "swap {it} for a {color} one",
        "i want {it} in {color} instead",
        "can you replace {it} with a {color} one",
        "trade {it} for the {color} version",
        "i would like to switch {it} to {color}",
        "exchange {it} to {color} please",
        "could you swap {it} for {color}",
        "{it} has the wrong color i need {color}",
        "the color of {it} is wrong please give me {color}",
        "i prefer {color} so exchange {it}",
        "replace {it} by the {color} one for me",
        "i bought {it} but would prefer {color}",
    ],
    &[
        "i prefer {it} in {color}",
        "could you exchange {it} with {color}",
        "you can switch {it} to the {color} version",
        "{it} is the wrong color give me {color}",
        "i need {color} so swap {it}",
        "trade {it} to {color}",
    ],
    &[
        "i would swap {it} to a {color} one",
        "can i trade {it} with {color}",
        "i want {color} so please replace {it}",
        "the {color} version of {it} please",
        "please switch {it} i need a {color} one",
        "wrong color for {it} please exchange to {color}",
    ],
);

const STATUS: Wordings = (
    &[
        "where is {it}",
        "what is the status of {it}",
        "can you tell me where {it} is",
        "please check the status of {it}",
        "is {it} shipped yet",
        "i want to know where {it} is now",
        "any news about {it}",
        "please track {it} for me",
        "how is {it} doing",
        "tell me about the state of {it}",
        "when will {it} arrive",
        "did {it} leave yet",
        "i am waiting for {it} so any news",
    ],
    &[
        "tell me how {it} is doing",
        "what about {it} any news",
        "track {it} now",
        "check where {it} is please",
        "i want news about {it} now",
        "i am waiting where is {it}",
    ],
    &[
        "status of {it} please",
        "can you track {it}",
        "did {it} arrive yet",
        "i want to check {it}",
        "what news about {it}",
        "tell me when {it} will arrive",
    ],
);

const CANCEL_ELSE_STATUS: Wordings = (
    &[
        "if {it} has not shipped cancel it otherwise tell me its status",
        "cancel {it} if it has not left or tell me the status",
        "please cancel {it} if you still can else give me its status",
        "check {it} and cancel it if not shipped else say where it is",
        "if {it} is still pending cancel it else report the status",
        "can {it} still be cancelled if not what is its status",
        "call off {it} if it is pending otherwise say its status",
        "i want to cancel {it} but if it left tell me where it is",
        "stop {it} if there is time otherwise report where it is",
        "if you can stop {it} do so otherwise give me the status",
        "cancel {it} only if pending else the status please",
        "should {it} be still here cancel it or else tell its status",
    ],
    &[
        "if not shipped call {it} off else the status",
        "if pending stop {it} else report its status",
        "only if still pending cancel {it} otherwise say where it is",
        "has {it} left if not cancel it else give its status",
        "please stop {it} if you can or else say its status",
        "is there time to cancel {it} otherwise the status",
    ],
    &[
        "if not left stop {it} otherwise report the status",
        "is {it} still here if so cancel it or say where it is",
        "tell me its status if {it} left else cancel it",
        "if not shipped cancel {it} otherwise tell the status",
        "please call off {it} but only if still pending or tell its status",
        "only if {it} is pending cancel it otherwise give me status",
    ],
);

const EXCHANGE_ELSE_REFUND: Wordings = (
    &[
        "swap {it} for {color} or refund it if that is gone",
        "exchange {it} for a {color} one but refund me if there is none",
        "if you have {color} swap {it} otherwise refund it",
        "replace {it} with {color} and if it is out of stock refund me",
        "please trade {it} for {color} else give my money back",
        "can you exchange {it} to {color} or else pay me back",
        "i want {it} in {color} and my money back if none is left",
        "switch {it} to {color} if you have it otherwise a refund please",
        "if {color} is in stock exchange {it} else refund it",
        "give me {it} in {color} or if gone the money back",
        "should {color} be gone refund {it} otherwise swap it",
        "i would like {color} for {it} or a refund if there is no stock",
    ],
    &[
        "exchange {it} with {color} if in stock or else refund it",
        "if there is no {color} refund {it} otherwise exchange it",
        "please swap {it} to {color} otherwise pay me back",
        "trade {it} to {color} otherwise money back please",
        "have you {color} if so switch {it} else refund me",
        "replace {it} to {color} but a refund if gone",
    ],
    &[
        "if {color} is left swap {it} else a refund",
        "exchange {it} and if {color} is gone give me a refund",
        "i want {color} for {it} if none is left refund me",
        "switch {it} with {color} but if out of stock pay me back",
        "is {color} in stock if so exchange {it} otherwise my money back",
        "refund {it} if {color} is gone else replace it",
    ],
);
