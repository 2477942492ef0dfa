-- Lua at work in coroutines. Lua cannot poll a stream: it looks for a file `go`.
local function gone()
    local file = io.open("go")
    if file then file:close() end
    return file ~= nil
end

local function numbers(step)
    return coroutine.wrap(function()
        local number = 0
        while true do
            number = number + step
            coroutine.yield(number)
        end
    end)
end

local sources, sums, rounds = {}, {}, 0
for step = 1, 20 do
    sources[step], sums[step] = numbers(step), 0
end
repeat
    rounds = rounds + 1
    for step, source in ipairs(sources) do
        sums[step] = sums[step] + source()
    end
    local text = string.rep("x", rounds % 100) .. tostring(rounds)
    assert(text:gsub("x", ""):sub(1) == tostring(rounds))
    if rounds == 5000 then
        print("ready")
        io.stdout:flush()
    end
until rounds > 10000 and rounds % 100 == 0 and gone()
for step = 1, 20 do
    assert(sums[step] == step * rounds * (rounds + 1) // 2, "a sum is wrong")
end
print("ok")
