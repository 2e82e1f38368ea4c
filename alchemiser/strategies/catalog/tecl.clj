; Long-term TECL with a switch to short-term bonds and a taste of volatility when the market is overheated.
;
; Above the 200-day average of SPY: sell strength (volatility products and bills), otherwise technology as long as it is stronger than
; managed futures. Below it: buy what has fallen hard, step aside when volatility itself is overbought, otherwise the same switch.
(defsymphony
  "TECL long term, with a managed-futures switch"
  {:asset-class "EQUITIES" :rebalance-frequency :daily}
  (weight-equal
   [(if (> (current-price "SPY") (moving-average-price "SPY" {:window 200}))
      [(if (> (rsi "TQQQ" {:window 10}) 79)
         [(weight-specified
           0.25 (asset "UVXY" "ProShares Ultra VIX Short-Term Futures")
           0.75 (asset "BIL" "SPDR 1-3 Month T-Bill"))]
         [(if (> (rsi "SPY" {:window 10}) 80)
            [(weight-specified
              0.25 (asset "UVXY")
              0.75 (asset "BIL"))]
            [(group "Switch, last resort bills"
              [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                 [(if (> (rsi "XLK" {:window 10}) 81)
                    [(asset "BIL")]
                    [(asset "TECL" "Direxion Daily Technology Bull 3X")])]
                 [(if (< (rsi "XLK" {:window 10}) 29)
                    [(asset "TECL")]
                    [(asset "BIL")])])])])])]
      [(if (< (rsi "TQQQ" {:window 10}) 31)
         [(asset "TECL")]
         [(if (< (rsi "SPXL" {:window 10}) 29)
            [(asset "SPXL" "Direxion Daily S&P 500 Bull 3X")]
            [(if (> (rsi "UVXY" {:window 10}) 74)
               [(if (> (rsi "UVXY" {:window 10}) 84)
                  [(weight-specified
                    0.15 (asset "UVXY")
                    0.85 (asset "BIL"))]
                  [(asset "BIL")])]
               [(group "Switch, last resort the stronger of short technology and bonds"
                 [(if (> (rsi "XLK" {:window 10}) (rsi "KMLM" {:window 10}))
                    [(if (> (rsi "XLK" {:window 10}) 81)
                       [(asset "BIL")]
                       [(asset "TECL")])]
                    [(if (< (rsi "XLK" {:window 10}) 29)
                       [(asset "TECL")]
                       [(filter (rsi {:window 9}) (select-top 1)
                         [(asset "SQQQ" "ProShares UltraPro Short QQQ")
                          (asset "BSV" "Vanguard Short-Term Bond")])])])])])])])])]))
