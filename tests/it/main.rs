//! The promises of the program, each tested from outside.
#![cfg(test)]

mod http_attack;
