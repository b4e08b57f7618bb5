use crate::resources::Snapshot;
pub static HAND: std::sync::OnceLock<Snapshot> = std::sync::OnceLock::new();
#[derive(Debug,Default)] pub struct Store;
#[derive(Debug,Default)] pub struct Applied{pub accepted:Vec<String>,pub rejected:Vec<(String,String,String)>}
impl Store{ pub fn apply(&mut self,_t:&str,_u:&[(String,Vec<u8>)],_r:&[String],_s:bool)->Applied{Applied::default()} pub fn fetch_timed_out(&mut self,_:&str,_:&str){} pub fn snapshot(&self)->Snapshot{HAND.get().unwrap().clone()} pub fn warming(&self)->Vec<(String,String)>{vec![]} pub fn reject(&mut self,_:&str,_:&str){} }
