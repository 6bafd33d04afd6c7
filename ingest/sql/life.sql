-- life: names the engine's life: gone when it ends, however it ends. Who finds it empty
-- puts a random token into it; each of several is one for the same life.
CREATE TABLE IF NOT EXISTS life
(
    token String
)
ENGINE = Memory
