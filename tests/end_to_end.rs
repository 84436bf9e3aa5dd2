//! The parts together, as a program uses them: an order book whose checks can veto, with an audit trail, listeners that
//! come and go on other threads, and an undo.

use signalpost::{
    BoxError, Dispatcher, PublishError, Stopped, SubscribeOptions, Subscription, SubscriptionSet, Undone,
};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Place { id: u32, amount: i64 },
    Withdraw { id: u32, amount: i64 },
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    OverLimit { limit: i64 },
    Closed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverLimit { limit } => write!(f, "over the limit of {limit}"),
            Self::Closed => f.write_str("the book is closed"),
        }
    }
}

/// What one desk books, and what it may.
struct Desk {
    books: Mutex<HashMap<u32, i64>>,
    limit: i64,
}

impl Desk {
    fn on(&self, order: &Order) -> Result<(), Refusal> {
        let mut books = self.books.lock().unwrap();
        match *order {
            Order::Place { id, amount } if amount <= self.limit => {
                books.insert(id, amount);
                Ok(())
            }
            Order::Place { .. } => Err(Refusal::OverLimit { limit: self.limit }),
            Order::Withdraw { id, .. } => {
                books.remove(&id);
                Ok(())
            }
        }
    }
}

#[derive(Default)]
struct Book {
    orders: Dispatcher<Order, Refusal>,
    booked: Dispatcher<Order, Infallible>,
}

impl Book {
    fn with_desks(limits: [i64; 3]) -> (Self, [Arc<Desk>; 3], SubscriptionSet) {
        let book = Self::default();
        let desks = limits.map(|limit| Arc::new(Desk { books: Mutex::default(), limit }));
        let names = ["fees", "risk", "custody"];
        let subs = book.orders.edit(|edit| {
            let add = |(desk, name): (&Arc<Desk>, &'static str)| {
                let desk = desk.clone();
                edit.subscribe_with(SubscribeOptions::new().named(name), move |order: &Order| desk.on(order))
            };
            desks.iter().zip(names).map(add).collect()
        });
        (book, desks, subs)
    }

    fn place(&self, id: u32, amount: i64) -> Result<(), Undone<Refusal>> {
        let (order, undo) = (Order::Place { id, amount }, Order::Withdraw { id, amount });
        self.orders.publish_or_undo(&order, &undo)?;
        self.booked.publish(&order);
        Ok(())
    }
}

fn booked(desks: &[Arc<Desk>]) -> Vec<usize> {
    desks.iter().map(|desk| desk.books.lock().unwrap().len()).collect()
}

#[test]
fn an_order_is_booked_by_all_desks_or_by_none() {
    let (book, desks, subs) = Book::with_desks([100, 50, 200]);
    book.place(1, 40).unwrap();
    assert_eq!(booked(&desks), [1, 1, 1]);

    let refused = book.place(2, 70).unwrap_err();
    assert_eq!(refused.stopped.error, Refusal::OverLimit { limit: 50 });
    assert_eq!(refused.stopped.subscriber.name, Some("risk"));
    assert_eq!((refused.stopped.position, refused.stopped.not_run), (1, 1));
    assert!(refused.to_string().contains("risk") && refused.to_string().ends_with("over the limit of 50"));
    assert_eq!(booked(&desks), [1, 1, 1], "the fees were taken back");

    // Risk is asked first from now on, and for a while not at all.
    let risk = subs.iter().nth(1).unwrap();
    book.orders.edit(|edit| assert!(edit.set_priority(risk, 1)));
    assert_eq!(book.place(3, 70).unwrap_err().stopped.position, 0);
    assert!(risk.pause());
    book.place(4, 70).unwrap();
    assert_eq!(booked(&desks), [2, 1, 2]);
}

#[test]
fn a_veto_with_priority_closes_the_book_for_everyone() {
    let (book, desks, _subs) = Book::with_desks([100; 3]);
    let closed: Subscription = book.orders.subscribe_with(
        SubscribeOptions::new().priority(i32::MAX).named("closing time"),
        |order: &Order| match order {
            Order::Place { .. } => Err(Refusal::Closed),
            Order::Withdraw { .. } => Ok(()),
        },
    );
    let order = Order::Place { id: 1, amount: 1 };
    let Err(PublishError::Stopped(Stopped { error, not_run, .. })) = book.orders.try_publish(&order) else {
        panic!("the book is closed")
    };
    assert_eq!((error, not_run), (Refusal::Closed, 3));
    book.orders.publish(&Order::Withdraw { id: 9, amount: 1 }).unwrap();
    drop(closed);
    book.place(1, 1).unwrap();
    assert_eq!(booked(&desks), [1, 1, 1]);
}

#[test]
fn listeners_come_and_go_on_their_own_threads_and_miss_nothing_while_they_listen() {
    let (book, _desks, _subs) = Book::with_desks([i64::MAX; 3]);
    let book = Arc::new(book);
    let trader = thread::spawn({
        let book = book.clone();
        move || (1..=20_000).for_each(|id| book.place(id, i64::from(id)).unwrap())
    });
    let listener = |_| {
        let book = book.clone();
        thread::spawn(move || {
            for _ in 0..50 {
                let heard = Arc::new(Mutex::new(Vec::new()));
                let ear = heard.clone();
                let sub = book.booked.subscribe(move |order: &Order| {
                    if let Order::Place { id, .. } = order {
                        ear.lock().unwrap().push(*id);
                    }
                });
                thread::yield_now();
                sub.cancel_and_wait(Duration::from_secs(100)).unwrap();
                let heard = Arc::into_inner(heard).expect("nobody else has it").into_inner().unwrap();
                assert!(heard.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{heard:?}");
            }
        })
    };
    let listeners: Vec<_> = (0..2).map(listener).collect();
    listeners.into_iter().for_each(|listener| listener.join().unwrap());
    trader.join().unwrap();
    assert!(book.booked.is_empty());
}

#[test]
fn a_report_borrows_from_the_stack_for_as_long_as_it_is_written() {
    let (book, _desks, _subs) = Book::with_desks([100; 3]);
    let report = Mutex::new(String::from("booked:"));
    let result: Result<(), BoxError> = book
        .booked
        .scope(|scope| {
            scope.subscribe(|order: &Order| report.lock().unwrap().push_str(&format!(" {order:?}")));
            book.place(7, 5).map_err(|undone| undone.to_string())?;
            Ok(())
        })
        .unwrap();
    result.unwrap();
    book.place(8, 5).unwrap();
    assert_eq!(report.into_inner().unwrap(), "booked: Place { id: 7, amount: 5 }");
}
