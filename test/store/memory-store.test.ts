import { MemoryStore } from "../../src/store/memory-store.ts";
import { describeStore } from "./store.contract.ts";

describeStore("MemoryStore", async (options) => new MemoryStore(options));
