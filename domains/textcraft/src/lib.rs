//! TextCraft: crafting goals over the real Minecraft recipes.
